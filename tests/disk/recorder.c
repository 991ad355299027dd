/* Records every change that a process makes to files below one folder, in order and with its data, so that
 * `tests.disk.simulated_disk` can work out what a disk may hold after a power cut at any moment.
 *
 * Loaded with LD_PRELOAD. RECORDER_ROOT: the folder; RECORDER_TRACE: the file that the trace goes to. Lines written to
 * standard output are recorded as marks. RECORDER_FAULTS: a file that may say "CALL PART ERRNO", such as
 * "fsync records.db 5": while it does, that call (open, read, write, fsync or rename) on paths with that part fails. One lock around each call and its entry keeps the order true. fsync is
 * recorded and not done: the process itself never loses power.
 *
 * An entry: operation (1 byte), file id (u32), offset (u64), lengths of two byte strings (u32 each), the strings.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 65536
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int trace = -1;
static uint32_t ids[MAX_FD], last_id;
static uint8_t appends[MAX_FD];
static char *paths[MAX_FD];
static const char *faults;

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("RECORDER_ROOT"), *file = getenv("RECORDER_TRACE");
  faults = getenv("RECORDER_FAULTS");
  if (folder == NULL || realpath(folder, root) == NULL) return;
  root_length = strlen(root);
  if (file == NULL) return;
  int opened = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  trace = fcntl(opened, F_DUPFD_CLOEXEC, MAX_FD / 2); /* out of the way of descriptors that the process counts on */
  if (trace < 0) trace = opened; else syscall(SYS_close, opened);
}

static void put(const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    ssize_t done = syscall(SYS_write, trace, at, length);
    if (done < 0) { if (errno == EINTR) continue; _exit(99); }
    at += done;
    length -= (size_t)done;
  }
}

static void entry(char operation, uint32_t id, uint64_t offset, const void *a, size_t a_length, const void *b,
                  size_t b_length) {
  if (trace < 0) return;
  int saved = errno;
  char head[21];
  uint32_t lengths[2] = {(uint32_t)a_length, (uint32_t)b_length};
  head[0] = operation;
  memcpy(head + 1, &id, 4);
  memcpy(head + 5, &offset, 8);
  memcpy(head + 13, lengths, 8);
  put(head, sizeof head);
  if (a_length) put(a, a_length);
  if (b_length) put(b, b_length);
  errno = saved;
}

/* The error number that a call on a path is to fail with, or 0. */
static int fault(const char *call, const char *path) {
  char said[256], wanted[32], part[128];
  int number = 0;
  if (faults == NULL || path == NULL) return 0;
  int fd = syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = syscall(SYS_read, fd, said, sizeof said - 1);
  syscall(SYS_close, fd);
  if (length <= 0) return 0;
  said[length] = 0;
  if (sscanf(said, "%31s %127s %d", wanted, part, &number) != 3) return 0;
  return strcmp(wanted, call) == 0 && strstr(path, part) != NULL ? number : 0;
}

/* The path of a name, absolute, its last part not resolved; returns it relative to the root, or NULL. */
static const char *below_root(int folder, const char *name, char out[PATH_MAX]) {
  char base[PATH_MAX], whole[PATH_MAX], parent[PATH_MAX];
  if (root_length == 0 || name == NULL) return NULL;
  if (name[0] == '/') {
    snprintf(whole, sizeof whole, "%s", name);
  } else {
    if (folder == AT_FDCWD) {
      if (getcwd(base, sizeof base) == NULL) return NULL;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
      ssize_t length = readlink(link, base, sizeof base - 1);
      if (length < 0) return NULL;
      base[length] = 0;
    }
    if (snprintf(whole, sizeof whole, "%s/%s", base, name) >= (int)sizeof whole) return NULL;
  }
  size_t length = strlen(whole);
  while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
  char *last = strrchr(whole, '/');
  if (last == NULL) return NULL;
  if (strcmp(last + 1, ".") == 0 || strcmp(last + 1, "..") == 0 || last == whole) {
    if (realpath(whole, out) == NULL) return NULL;
  } else {
    *last = 0;
    if (realpath(whole, parent) == NULL) return NULL;
    if (snprintf(out, PATH_MAX, "%s/%s", parent, last + 1) >= PATH_MAX) return NULL;
  }
  if (strncmp(out, root, root_length) != 0) return NULL;
  if (out[root_length] == 0) return out + root_length;
  return out[root_length] == '/' ? out + root_length + 1 : NULL;
}

static int known(int fd) { return fd >= 0 && fd < MAX_FD && ids[fd] != 0; }

static void forget(int fd) {
  ids[fd] = 0;
  free(paths[fd]);
  paths[fd] = NULL;
}

/* Whether a call on a descriptor is to fail; sets errno. */
static int fails(const char *call, int fd) {
  int number = known(fd) ? fault(call, paths[fd]) : 0;
  if (number != 0) errno = number;
  return number != 0;
}

static int opened(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  pthread_mutex_lock(&lock);
  const char *relative = below_root(folder, name, path);
  int existed = 0;
  struct stat about;
  if (relative != NULL) existed = fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0;
  int number = relative == NULL ? 0 : fault("open", relative);
  if (number != 0) {
    pthread_mutex_unlock(&lock);
    errno = number;
    return -1;
  }
  int fd = syscall(SYS_openat, folder, name, flags, mode);
  if (fd >= 0 && fd < MAX_FD) forget(fd);
  if (fd >= 0 && fd < MAX_FD && relative != NULL) {
    ids[fd] = ++last_id;
    paths[fd] = strdup(relative);
    appends[fd] = (flags & O_APPEND) != 0;
    uint64_t what = (existed ? 0 : 1) | ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY ? 2 : 0);
    entry('o', ids[fd], what, relative, strlen(relative), NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

static mode_t mode_of(int flags, va_list more) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
}

#define OPEN(name)                                                    \
  int name(const char *path, int flags, ...) {                        \
    va_list more; va_start(more, flags);                              \
    mode_t mode = mode_of(flags, more); va_end(more);                 \
    return opened(AT_FDCWD, path, flags, mode);                       \
  }
#define OPENAT(name)                                                  \
  int name(int folder, const char *path, int flags, ...) {            \
    va_list more; va_start(more, flags);                              \
    mode_t mode = mode_of(flags, more); va_end(more);                 \
    return opened(folder, path, flags, mode);                         \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
  pthread_mutex_lock(&lock);
  if (known(fd)) forget(fd);
  int done = syscall(SYS_close, fd);
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t write(int fd, const void *data, size_t length) {
  pthread_mutex_lock(&lock);
  off_t at = 0;
  if (known(fd)) at = appends[fd] ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
  ssize_t done = fails("write", fd) ? -1 : syscall(SYS_write, fd, data, length);
  if (done > 0 && trace >= 0) {
    if (fd == STDOUT_FILENO) entry('m', 0, 0, data, (size_t)done, NULL, 0);
    else if (known(fd)) entry('w', ids[fd], (uint64_t)at, data, (size_t)done, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

static ssize_t written_at(int fd, const void *data, size_t length, off_t at) {
  pthread_mutex_lock(&lock);
  ssize_t done = fails("write", fd) ? -1 : syscall(SYS_pwrite64, fd, data, length, at);
  if (done > 0 && known(fd)) entry('w', ids[fd], (uint64_t)at, data, (size_t)done, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written_at(fd, data, length, at); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return written_at(fd, data, length, at); }

ssize_t read(int fd, void *data, size_t length) {
  return fails("read", fd) ? -1 : syscall(SYS_read, fd, data, length);
}
static ssize_t read_at(int fd, void *data, size_t length, off_t at) {
  return fails("read", fd) ? -1 : syscall(SYS_pread64, fd, data, length, at);
}
ssize_t pread(int fd, void *data, size_t length, off_t at) { return read_at(fd, data, length, at); }
ssize_t pread64(int fd, void *data, size_t length, off64_t at) { return read_at(fd, data, length, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t all = 0;
  for (int i = 0; i < count; i++) {
    ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (done < 0) return all ? all : done;
    all += done;
    if ((size_t)done < parts[i].iov_len) break;
  }
  return all;
}

static int cut(int fd, off_t length) {
  pthread_mutex_lock(&lock);
  int done = fails("write", fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
  if (done == 0 && known(fd)) entry('t', ids[fd], (uint64_t)length, NULL, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int synced(int fd) {
  pthread_mutex_lock(&lock);
  if (fails("fsync", fd)) {
    pthread_mutex_unlock(&lock);
    return -1;
  }
  int mine = known(fd);
  if (mine) entry('s', ids[fd], 0, NULL, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return mine ? 0 : (int)syscall(SYS_fsync, fd);
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static int named(char operation, int from, const char *old, int to, const char *new, unsigned flags) {
  char a[PATH_MAX], b[PATH_MAX];
  pthread_mutex_lock(&lock);
  const char *one = below_root(from, old, a), *other = below_root(to, new, b);
  int number = fault("rename", one);
  if (number != 0) {
    pthread_mutex_unlock(&lock);
    errno = number;
    return -1;
  }
  int done = operation == 'r' ? (int)syscall(SYS_renameat2, from, old, to, new, flags)
                              : (int)syscall(SYS_linkat, from, old, to, new, flags);
  if (done == 0 && one != NULL && other != NULL)
    entry(operation, 0, operation == 'r' ? flags : 0, one, strlen(one), other, strlen(other));
  pthread_mutex_unlock(&lock);
  return done;
}
int rename(const char *old, const char *new) { return named('r', AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return named('r', from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
  return named('r', from, old, to, new, flags);
}
int link(const char *old, const char *new) { return named('l', AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
  return named('l', from, old, to, new, (unsigned)flags);
}

static int changed(char operation, int folder, const char *name, int (*change)(int, const char *, int), int argument) {
  char path[PATH_MAX];
  pthread_mutex_lock(&lock);
  const char *relative = below_root(folder, name, path);
  int done = change(folder, name, argument);
  if (done == 0 && relative != NULL) entry(operation, 0, 0, relative, strlen(relative), NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}
static int removed(int folder, const char *name, int flags) { return (int)syscall(SYS_unlinkat, folder, name, flags); }
static int made(int folder, const char *name, int mode) { return (int)syscall(SYS_mkdirat, folder, name, mode); }
int unlink(const char *name) { return changed('u', AT_FDCWD, name, removed, 0); }
int rmdir(const char *name) { return changed('u', AT_FDCWD, name, removed, AT_REMOVEDIR); }
int unlinkat(int folder, const char *name, int flags) { return changed('u', folder, name, removed, flags); }
int mkdir(const char *name, mode_t mode) { return changed('d', AT_FDCWD, name, made, (int)mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return changed('d', folder, name, made, (int)mode); }

/* Ways to write that are not recorded: refused, so that what would be missed falls back to write or fails loudly. */
ssize_t sendfile(int out, int in, off_t *at, size_t count) { (void)out; (void)in; (void)at; (void)count; errno = ENOSYS; return -1; }
ssize_t sendfile64(int out, int in, off64_t *at, size_t count) { (void)out; (void)in; (void)at; (void)count; errno = ENOSYS; return -1; }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags) {
  (void)in; (void)from; (void)out; (void)to; (void)count; (void)flags; errno = ENOSYS; return -1;
}
int fallocate(int fd, int mode, off_t at, off_t length) { (void)fd; (void)mode; (void)at; (void)length; errno = EOPNOTSUPP; return -1; }
int fallocate64(int fd, int mode, off64_t at, off64_t length) { (void)fd; (void)mode; (void)at; (void)length; errno = EOPNOTSUPP; return -1; }
