/* Preloaded into a program under test: counts its calls that change files below a directory, and
 * strikes at one of them. Environment:
 *
 * TORTURE_ROOT    the directory
 * TORTURE_LOG     a file that receives one line per call: "CALL PATH"
 * TORTURE_ACTION  what happens at call number TORTURE_AT, counted from 1:
 *   kill      the process is killed before the call
 *   after     half of a write is made, or the whole of another call, and the process is killed
 *   fail      this call and all later ones that need space fail with TORTURE_VALUE (an errno); a
 *             write that is the first of them is made by half
 *   signal    the process receives the signal TORTURE_VALUE
 *   hangup    the process runs on a terminal from the start, and that is closed now
 *   stuffed   not at a call: standard output is a full pipe that does not block
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { NONE, KILL, AFTER, FAIL, SIGNAL, HANGUP };
enum verdict { GO, HALF, DIE_AFTER, REFUSE };

static const char *root;
static size_t root_length;
static int log_file = -1, value, master = -1;
static enum action action;
static long at;
static atomic_long calls;
static atomic_int hang_up, hung_up;

static long raw_write(int fd, const void *bytes, size_t n) { return syscall(SYS_write, fd, bytes, n); }

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Reads what the program prints on its terminal, and closes the terminal when told. */
static void *terminal(void *unused) {
    char bytes[4096];
    (void)unused;
    for (;;) {
        struct pollfd ready = {.fd = master, .events = POLLIN};
        if (atomic_load(&hang_up)) break;
        if (poll(&ready, 1, 10) > 0 && read(master, bytes, sizeof bytes) < 0 && errno != EAGAIN) break;
    }
    close(master);
    atomic_store(&hung_up, 1);
    return NULL;
}

static void open_terminal(void) {
    pthread_t reader;
    setsid();
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master)) _exit(125);
    int slave = syscall(SYS_openat, AT_FDCWD, ptsname(master), O_RDWR, 0);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0)) _exit(125);
    for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
    close(slave);
    if (pthread_create(&reader, NULL, terminal, NULL)) _exit(125);
}

static void stuff_output(void) {
    int ends[2];
    char byte = 0;
    if (pipe2(ends, O_NONBLOCK)) _exit(125);
    while (raw_write(ends[1], &byte, 1) == 1) {}
    dup2(ends[1], 1);
}

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("TORTURE_ACTION"), *log = getenv("TORTURE_LOG");
    const char *number = getenv("TORTURE_AT"), *given = getenv("TORTURE_VALUE");
    const char *names[] = {"none", "kill", "after", "fail", "signal", "hangup"};
    root = getenv("TORTURE_ROOT");
    root_length = root ? strlen(root) : 0;
    at = number ? atol(number) : 0;
    value = given ? atoi(given) : 0;
    if (log) log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    for (int k = 0; name && k < 6; k++)
        if (!strcmp(name, names[k])) action = k;
    if (action == HANGUP) open_terminal();
    if (name && !strcmp(name, "stuffed")) stuff_output();
    /* Children are not part of the test. */
    unsetenv("LD_PRELOAD");
}

/* Counts a call on a path, strikes if its turn has come, and returns what becomes of the call. */
static enum verdict reach(const char *call, const char *path, int needs_space) {
    if (!root || strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/')) return GO;
    long number = atomic_fetch_add(&calls, 1) + 1;
    int before = errno;
    if (log_file >= 0) {
        char line[4400];
        int n = snprintf(line, sizeof line, "%s %s\n", call, path);
        if (n > 0) raw_write(log_file, line, n < (int)sizeof line ? n : (int)sizeof line - 1);
    }
    enum verdict verdict = GO;
    if (action == FAIL && needs_space && number >= at) {
        static atomic_int failed;
        verdict = atomic_exchange(&failed, 1) ? REFUSE : HALF;
    } else if (number == at && action == KILL) {
        die();
    } else if (number == at && action == AFTER) {
        verdict = DIE_AFTER;
    } else if (number == at && action == SIGNAL) {
        syscall(SYS_kill, getpid(), value);
    } else if (number == at && action == HANGUP) {
        atomic_store(&hang_up, 1);
        while (!atomic_load(&hung_up)) usleep(1000);
    }
    errno = before;
    return verdict;
}

static enum verdict reach_at(const char *call, int directory, const char *path, int needs_space) {
    char whole[4200], from[64], base[4096];
    if (path[0] == '/') return reach(call, path, needs_space);
    ssize_t n;
    if (directory == AT_FDCWD) {
        n = getcwd(base, sizeof base) ? (ssize_t)strlen(base) : -1;
    } else {
        snprintf(from, sizeof from, "/proc/self/fd/%d", directory);
        n = readlink(from, base, sizeof base - 1);
    }
    if (n < 0) return GO;
    base[n] = 0;
    if (strlen(path) > 100) return GO;
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return reach(call, whole, needs_space);
}

static enum verdict reach_fd(const char *call, int fd, int needs_space) {
    char from[64], path[4096];
    int before = errno;
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(from, path, sizeof path - 1);
    errno = before;
    if (n < 0 || path[0] != '/') return GO;
    path[n] = 0;
    return reach(call, path, needs_space);
}

static long refuse(void) {
    errno = value ? value : ENOSPC;
    return -1;
}

/* Makes a call that is all or nothing. */
#define MAKE(reached, ...)                                        \
    do {                                                          \
        enum verdict found = (reached);                           \
        if (found == REFUSE || found == HALF) return refuse();    \
        long result = syscall(__VA_ARGS__);                       \
        if (found == DIE_AFTER) die();                            \
        return result;                                            \
    } while (0)

static int opened(const char *call, int directory, const char *path, int flags, unsigned mode) {
    if (!(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)))
        return syscall(SYS_openat, directory, path, flags, mode);
    MAKE(reach_at(call, directory, path, flags & O_CREAT), SYS_openat, directory, path, flags, mode);
}

#define MODE(flags)                                               \
    unsigned mode = 0;                                            \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                        \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode = va_arg(rest, unsigned);                            \
        va_end(rest);                                             \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened("open", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened("open", AT_FDCWD, path, flags, mode); }
int openat(int d, const char *path, int flags, ...) { MODE(flags) return opened("open", d, path, flags, mode); }
int openat64(int d, const char *path, int flags, ...) { MODE(flags) return opened("open", d, path, flags, mode); }
int creat(const char *path, mode_t mode) {
    return opened("open", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ssize_t write(int fd, const void *bytes, size_t n) {
    enum verdict verdict = reach_fd("write", fd, 1);
    if (verdict == REFUSE || (verdict == HALF && n < 2)) return refuse();
    ssize_t result = raw_write(fd, bytes, verdict == HALF || verdict == DIE_AFTER ? n / 2 : n);
    if (verdict == DIE_AFTER) die();
    return result;
}

static ssize_t positioned(int fd, const void *bytes, size_t n, off_t offset) {
    enum verdict verdict = reach_fd("pwrite", fd, 1);
    if (verdict == REFUSE || (verdict == HALF && n < 2)) return refuse();
    ssize_t result = syscall(SYS_pwrite64, fd, bytes, verdict == HALF || verdict == DIE_AFTER ? n / 2 : n, offset);
    if (verdict == DIE_AFTER) die();
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) { return positioned(fd, bytes, n, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t offset) { return positioned(fd, bytes, n, offset); }
ssize_t writev(int fd, const struct iovec *parts, int n) { MAKE(reach_fd("writev", fd, 1), SYS_writev, fd, parts, n); }
ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags) {
    MAKE(reach_fd("copy_file_range", out, 1), SYS_copy_file_range, in, from, out, to, n, flags);
}
ssize_t sendfile64(int out, int in, off_t *from, size_t n) {
    MAKE(reach_fd("sendfile", out, 1), SYS_sendfile, out, in, from, n);
}
int fsync(int fd) { MAKE(reach_fd("fsync", fd, 1), SYS_fsync, fd); }
int fdatasync(int fd) { MAKE(reach_fd("fsync", fd, 1), SYS_fdatasync, fd); }
int ftruncate(int fd, off_t n) { MAKE(reach_fd("ftruncate", fd, n > 0), SYS_ftruncate, fd, n); }
int ftruncate64(int fd, off_t n) { MAKE(reach_fd("ftruncate", fd, n > 0), SYS_ftruncate, fd, n); }
int rename(const char *from, const char *to) {
    MAKE(reach_at("rename", AT_FDCWD, to, 0), SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int f, const char *from, int t, const char *to) {
    MAKE(reach_at("rename", t, to, 0), SYS_renameat2, f, from, t, to, 0);
}
int link(const char *from, const char *to) {
    MAKE(reach_at("link", AT_FDCWD, to, 1), SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int symlink(const char *from, const char *to) {
    MAKE(reach_at("symlink", AT_FDCWD, to, 1), SYS_symlinkat, from, AT_FDCWD, to);
}
int mkdir(const char *path, mode_t mode) {
    MAKE(reach_at("mkdir", AT_FDCWD, path, 1), SYS_mkdirat, AT_FDCWD, path, mode);
}
int mkdirat(int d, const char *path, mode_t mode) {
    MAKE(reach_at("mkdir", d, path, 1), SYS_mkdirat, d, path, mode);
}
int unlink(const char *path) { MAKE(reach_at("unlink", AT_FDCWD, path, 0), SYS_unlinkat, AT_FDCWD, path, 0); }
int unlinkat(int d, const char *path, int flags) { MAKE(reach_at("unlink", d, path, 0), SYS_unlinkat, d, path, flags); }
int rmdir(const char *path) {
    MAKE(reach_at("rmdir", AT_FDCWD, path, 0), SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
