PROTOCOL.boot -- from a login to a running helper
==================================================

Version 1.  Near side: src/carrier/boot.c, boot_script.c, ssh_stdio.c.
Far side: the script built by boot_script.c, and the helper's main through
src/carrier/boot_far.c.

One ssh, one exec request, no terminal.  Three streams: what the near side
writes ("up"), what the far side prints on stdout ("down"), and stderr, which
carries no protocol: it is shown to the user.

The far side is not trusted.  All it can do here is to be refused.


1. The remote command
---------------------

One line, which sshd hands to the login shell of the account, whatever that is:

    exec /bin/sh -c 'ecssh_marker=MARKER; SCRIPT' ecssh-boot ARG ARG ...

    MARKER  32 lower-case hex digits, fresh from the system's random source for
            each connection.  It tells our lines from noise; it is no secret.
    ARG     argument of the helper: letters, digits and . _ - + = : , / % @

The line has no newline, no "!" and no backslash, and no single quote but
those shown: sh, bash, dash, zsh, csh, tcsh and fish all see the same words in
it.  Its first 64 bytes contain "ecssh_marker=" MARKER ";", so that a forced
command finds the marker in SSH_ORIGINAL_COMMAND (section 6).


2. Up: hello
------------

At once, before anybody has logged in, the near side writes

    "ecssh-boot 1\n"

and nothing more until it is asked.  ssh reads its standard input only when the
server has accepted the exec request.  Hence:

  - When the pipe to ssh has run empty, the login is over.  Before that there is
    no time limit, because somebody may be typing a password; after that, 60 s
    without an answer are a failure.
  - Whoever else listens there shows itself.  An SFTP server takes the first
    four bytes for a length beyond its limit and ends with status 11, instead of
    waiting for ever.

The far side reads up to the first newline and ignores what it has read.  The
script does that with the shell's "read", which takes byte after byte from a
pipe and no byte more.


3. Down: lines with the marker
------------------------------

Each line is preceded by a newline of its own, so that noise without one does
not hide it:

    "\n" MARKER " " VERB *(" " WORD) "\n"

A line is ours if it starts with MARKER and a space and has at most 512 bytes
without its newline.  All else is noise: greetings, rc files, a login shell
that prints.  More than 16 MiB of noise are a failure.  A line of ours that does
not follow this page is a failure, too; there is no resynchronisation.

    need OS MACHINE     Send the helper.  The words are "uname -s" and
                        "uname -m", 1 to 63 bytes each.  At most once, and not
                        after "run".
    run ORIGIN          A helper is about to be started.  ORIGIN is "installed",
                        "kept" (by an earlier connection) or "uploaded".  At
                        most once.
    fail CODE [TEXT]    The far side gives up and ends.  TEXT is for people.
    ready VERSION       The helper runs: 1 to 63 bytes.  Every byte after the
                        newline belongs to the session (PROTOCOL.session).

Codes of "fail":

    nodir       no directory that is ours alone can be made
    noexec      nothing can be executed in those that can be written
    nospace     no room for the helper
    notool      a standard program is missing; TEXT names it
    corrupt     size or SHA-256 differ from what was announced
    cannotrun   the helper does not start; TEXT says why

An unknown code is a failure like the others.

OS is "Linux" and MACHINE one that the near side has a helper for, or the near
side gives up instead of sending.  Only printable ASCII counts as a word.


4. Up: the helper
-----------------

After "need" the near side sends exactly the number of bytes that the command
announced, the ELF file as it is, and then again nothing until "ready".  So it
does not matter whether the program that receives the file reads ahead.


5. What the script does
-----------------------

 1. Cleans up: standard directories first in PATH, LC_ALL=C, umask 077, and
    without LD_PRELOAD, LD_LIBRARY_PATH, IFS, CDPATH, ENV, BASH_ENV.
 2. Reads the hello.
 3. Looks for an installed helper: "ecssh-helper" in PATH, then
    /usr/lib/ecssh/ecssh-helper, /usr/libexec/ecssh/ecssh-helper and the same
    below /usr/local.  It is used if it fits: the first line of
    "ecssh-helper --version" is

        "ecssh-helper " VERSION " protocol " NUMBER

    with the number of the session protocol that the near side speaks.
 4. Looks for a kept one.  Places, in this order, unset ones skipped:

        $XDG_CACHE_HOME, or else $HOME/.cache;  $XDG_RUNTIME_DIR;
        /dev/shm;  /tmp;  /var/tmp

    In each the directory ecssh-helper-UID, which must be ours: a directory and
    not a link, owned by our uid, mode 0700.  A directory that somebody else has
    planted there is passed over.  The file is helper-HASH16 with the first 16
    digits of the SHA-256; it is used if all of it has that hash and it fits.
 5. Finds a place to store: the first of the same places where the directory can
    be made, a new file can be created in it (O_EXCL), running it while it is
    empty and executable does not give the shell's status 126 (as it does on a
    file system mounted noexec), and as many zero bytes as the helper has can be
    written to it.  Nothing stays behind in those that are passed over.
 6. Says "need", receives the file, compares size and hash, tries
    "--version", moves it to its name and removes other versions.
 7. Says "run" and executes the helper:  FILE --marker MARKER ARG ARG ...

The hash is computed by sha256sum, shasum, openssl or sha256, whichever is
there.  Where none is, nothing that was kept is used, and of an upload the size
is compared.

The persistent place comes first so that a helper is uploaded once, not once a
login: $XDG_RUNTIME_DIR goes away with the last session of the account.


6. What the helper does
-----------------------

The marker is the argument of --marker.  Without that option the helper has been
started by a forced command (command= of authorized_keys, ForceCommand), and the
marker stands in the first 64 bytes of the environment variable
SSH_ORIGINAL_COMMAND, as in section 1; the options of the helper are then those
of the forced command and no others.  In that case, and in that case only, the
hello is still to be read: the helper skips its standard input up to the first
newline, which comes within 64 bytes or not at all.

Then it prints

    "\n" MARKER " ready " VERSION "\n"

in one write and speaks PROTOCOL.session on the same two streams.


7. How it ends when it fails
----------------------------

What the near side sees before "ready", and what it makes of it:

    ssh ends with 255                   ssh failed: its last words
    "exec request failed", or no        the server does not run commands
      session (MaxSessions 0)
    exit 11 and no output, or "This     only file transfer is allowed
      service allows sftp
      connections only."
    any other end                       the account has no usable shell: what
                                        was printed last
    60 s of silence after the login     something else listens there
    more than 16 MiB of noise           a start-up file prints without end
