PROTOCOL.ctl: asking a running tunnel
=====================================

Each tunnel listens on a Unix stream socket NAME.sock, mode 0600, in
    $XDG_RUNTIME_DIR/ecssh          of the user it runs as,
    /tmp/ecssh-ctl-UID              where there is no such directory,
    /run/ecssh                      if it runs as root.
Only the same user and root are answered (SO_PEERCRED).  If it is killed its starter
(PROTOCOL.starter) removes the socket; one that is left all the same is replaced by
the next tunnel of that name, and removed by "ecssh cleanup".

The client sends one line, the server answers and closes the connection.

    status json     one JSON object (below), without a newline at its end
    status text     the same for people
    status verbose  the same, and the SSH connection
    status drops    refused packets by reason, for people
    down            nothing; the connection closes when the tunnel is gone and
                    the machine is as it was
    confirm         "confirmed": the tunnel stays; "not asked for": it did not wait for that
    anything else   the connection is closed

The JSON object.  Fields are only ever added; "ecssh status --json" wraps the objects
as {"version": 1, "tunnels": [...]}.

    name, destination, gateway      text
    user                            the account on the gateway
    state                           connecting, connected, reconnecting, down
    rung                            of the ladder, or "via"; "" until connected
    why_not_higher                  list of sentences
    packets                         up, lacking, lost, none: the far end's packet plane
    interface                       text, "" until connected
    addresses, routes, excluded     lists of text
    mtu                             bytes
    since                           seconds since 1970 of the current state
    unconfirmed                     seconds until the tunnel ends unless it is confirmed; 0: it does not
    bytes_up, bytes_down            IP bytes from and to applications
    packets_up, packets_down        a super-segment counts as one
    whole                           the same four of what went as whole packets
    dns                             {"mode": off, all or split; "way": resolved, resolvconf or
                                    resolv.conf; "servers", "domains": lists; "why_not": a
                                    sentence if it is off although it was wished for}
    flows                           {"tcp", "udp", "echo", "up", "down"} at this moment
    connections                     {"opened", "refused"} since the start
    rtt_us                          round trip to the helper; 0: not measured yet
    ssh                             the TCP connection beneath ssh: {"peer", "congestion", "tuning",
                                    "rtt_us", "rtt_min_us", "cwnd", "unacked", "retransmits",
                                    "queued_bytes", "notsent_bytes", "delivery_rate"}, or {"why_not"};
                                    {} with --via
    line_up                         what the governor has found out: {"rate" in bytes/s,
                                    "round_trip_us", "round_trip_min_us", "in_flight_bytes",
                                    "allowed_bytes"}; 0: not known, or no helper
    sandbox                         of the engine: "seccomp, landlock", either, or "none"
    helper                          {"version", "origin", "user", "sandbox"}; sandbox:
                                    "seccomp, landlock", either, "none"; "": not told
    missing                         list of sentences: what this gateway cannot carry
    out_of_reach                    list of sentences: local networks that this host has come into
                                    since, and that are routed into the tunnel
    drops                           {"near": {reason: count}, "frames": {...}, "far": {...}}:
                                    packets here; frames here; on the gateway, up to a second ago
