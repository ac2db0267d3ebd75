/* SPDX-License-Identifier: MIT */
/* helper_file: the helper as a file here, to be uploaded. */
#include "helper_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "fd.h"

enum {
	LEN_MAX = 64 << 20, /* forty times what we aim at */
	NAMES_MAX = 5,
	/* e_machine, at the same place in both classes */
	MACHINE_OFFSET = 18,
};

/* names[0] is what we call it ourselves; the others run it, too. */
static const struct {
	uint16_t elf_machine;
	uint8_t elf_class, elf_data;
	const char *names[NAMES_MAX];
} machines[] = {
	{EM_X86_64, ELFCLASS64, ELFDATA2LSB, {"x86_64", "amd64"}},
	{EM_386,
	 ELFCLASS32,
	 ELFDATA2LSB,
	 {"i686", "i586", "i486", "i386", "x86_64"}},
	{EM_AARCH64, ELFCLASS64, ELFDATA2LSB, {"aarch64", "arm64"}},
	{EM_ARM, ELFCLASS32, ELFDATA2LSB, {"armv7l", "armv6l", "armv8l"}},
	{EM_RISCV, ELFCLASS64, ELFDATA2LSB, {"riscv64"}},
	{EM_PPC64, ELFCLASS64, ELFDATA2LSB, {"ppc64le"}},
	{EM_S390, ELFCLASS64, ELFDATA2MSB, {"s390x"}},
	{258 /* LoongArch */, ELFCLASS64, ELFDATA2LSB, {"loongarch64"}},
};

static const char *const *names_of(const struct helper_file *f)
{
	const uint8_t *p = f->bytes;

	if (f->len < sizeof(Elf32_Ehdr) || memcmp(p, ELFMAG, SELFMAG) != 0)
		return NULL;
	const uint8_t *m = p + MACHINE_OFFSET;
	bool is_lsb = p[EI_DATA] == ELFDATA2LSB;
	unsigned machine = is_lsb ? m[0] | (unsigned)m[1] << 8
				  : (unsigned)m[0] << 8 | m[1];
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].elf_machine == machine &&
		    machines[i].elf_class == p[EI_CLASS] &&
		    machines[i].elf_data == p[EI_DATA])
			return machines[i].names;
	return NULL;
}

static int read_all(int fd, struct helper_file *f)
{
	struct stat st;
	size_t at = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > LEN_MAX)
		return -ENOEXEC;
	size_t len = (size_t)st.st_size;
	void *bytes = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	/* No fork of ours has a use for it, and some live long. */
	(void)madvise(bytes, len, MADV_DONTFORK);
	f->bytes = bytes;
	f->len = len;
	while (at < f->len) {
		ssize_t n = read(fd, f->bytes + at, f->len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* it has become shorter under our hands */
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return 0;
}

static int load(const char *path, struct helper_file *f)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t hash[crypto_hash_sha256_BYTES];

	if (fd < 0)
		return -errno;
	int r = read_all(fd, f);
	if (r < 0)
		return r;
	const char *const *names = names_of(f);
	if (!names)
		return -ENOEXEC;
	f->machine = names[0];
	(void)crypto_hash_sha256(hash, f->bytes, f->len);
	(void)sodium_bin2hex(f->hash, sizeof(f->hash), hash, sizeof(hash));
	return 0;
}

int helper_file_load(const char *path, struct helper_file *ret_file,
		     struct err *err)
{
	struct helper_file f = {0};
	char shown[256];

	int r = load(path, &f);
	if (r < 0) {
		helper_file_fini(&f);
		(void)escape_text(path, strlen(path), shown, sizeof(shown));
		return err_set(err, r, "cannot use the helper %s: %s", shown,
			       r == -ENOEXEC ? "it is not a program for a "
					       "machine we know"
					     : strerror(-r));
	}
	*ret_file = f;
	return 0;
}

void helper_file_fini(struct helper_file *f)
{
	if (f->bytes)
		(void)munmap(f->bytes, f->len);
	f->bytes = NULL;
}

bool helper_file_fits(const struct helper_file *f, const char *os,
		      const char *machine)
{
	const char *const *names = names_of(f);

	if (strcmp(os, "Linux") != 0)
		return false;
	for (int i = 0; names && i < NAMES_MAX && names[i]; i++)
		if (strcmp(names[i], machine) == 0)
			return true;
	return false;
}
