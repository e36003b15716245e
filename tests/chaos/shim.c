/* What a disk may do to a log, at the k-th operation on files whose path begins with the armed prefix.
   Loaded with LD_PRELOAD; lies dormant until chaos_arm() is called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { KILL = 1, TORN, FAIL, FAIL_FOR_EVER, RECORD };
static char prefix[4096], directory[4096];
static int mode, error, only_syncs, record_fd = -1;
static long at, count;

void chaos_arm(const char *path, int m, long k, int e, int syncs, int fd) {
    snprintf(prefix, sizeof prefix, "%s", path);
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash) *slash = 0;
    at = k; error = e; only_syncs = syncs; record_fd = fd; count = 0; mode = m;
}
long chaos_count(void) { return count; }

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off64_t), (*real_fsync)(int), (*real_fdatasync)(int), (*real_unlink)(const char *);
#define REAL(f, name) do { if (!f) f = dlsym(RTLD_NEXT, name); } while (0)

static int name_of(int fd, char *name, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, size - 1);
    if (n < 0) return 0;
    name[n] = 0;
    return 1;
}
static int ours(const char *name) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n)) return !strcmp(name, directory);
    /* -shm is memory; LOG.d holds locks and is no part of the record */
    return strncmp(name + n, "-shm", 4) && strncmp(name + n, ".d", 2);
}
static void note(char op, const char *name, long long a, const void *data, size_t size) {
    char head[4300];
    int n = snprintf(head, sizeof head, "%c %lld %zu %s\n", op, a, size, name);
    REAL(real_write, "write");
    if (real_write(record_fd, head, n) != n || (size && real_write(record_fd, data, size) != (ssize_t)size)) _exit(77);
}
/* 0: go on; -1: fail with errno set; 2: write a part, then die */
static int step(int sync) {
    if (only_syncs && !sync) return 0;
    count++;
    if (mode == KILL && count == at) kill(getpid(), SIGKILL);
    if (mode == TORN && count == at) { if (sync) kill(getpid(), SIGKILL); return 2; }
    if ((mode == FAIL && count == at) || (mode == FAIL_FOR_EVER && count >= at)) { errno = error; return -1; }
    return 0;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    char name[4096];
    REAL(real_pwrite, "pwrite64");
    if (mode && name_of(fd, name, sizeof name) && ours(name)) {
        if (mode == RECORD) note('w', name, offset, data, size);
        else switch (step(0)) {
            case -1: return -1;
            case 2: real_pwrite(fd, data, size / 2 + 1, offset); kill(getpid(), SIGKILL);
        }
    }
    return real_pwrite(fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }
int ftruncate64(int fd, off64_t size) {
    char name[4096];
    REAL(real_ftruncate, "ftruncate64");
    if (mode && name_of(fd, name, sizeof name) && ours(name)) {
        if (mode == RECORD) note('t', name, size, 0, 0);
        else { int s = step(0); if (s == -1) return -1; if (s == 2) kill(getpid(), SIGKILL); }
    }
    return real_ftruncate(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
static int sync_of(int fd, int (*real)(int)) {
    char name[4096];
    if (mode && name_of(fd, name, sizeof name) && ours(name)) {
        if (mode == RECORD) note('s', name, 0, 0, 0);
        else if (step(1) == -1) return -1;
    }
    return real(fd);
}
int fsync(int fd) { REAL(real_fsync, "fsync"); return sync_of(fd, real_fsync); }
int fdatasync(int fd) { REAL(real_fdatasync, "fdatasync"); return sync_of(fd, real_fdatasync); }
int unlink(const char *name) {
    REAL(real_unlink, "unlink");
    if (mode && ours(name)) {
        if (mode == RECORD) note('u', name, 0, 0, 0);
        else { int s = step(0); if (s == -1) return -1; if (s == 2) kill(getpid(), SIGKILL); }
    }
    return real_unlink(name);
}
