/* A disk that loses what it was given, once: where the file that TONGBAN_FAILING_SYNC names is there, the next fdatasync of a file whose
 * path contains its text fails with EIO, and the second half of what was written there last is gone, as pages are that never reached
 * the disk. The file is gone then, too: a sync that is tried again succeeds, as it does on Linux, over what is lost. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int last_fd = -1;
static off64_t last_at;
static size_t last_len;

static int is_meant(int fd, char *wanted, size_t room) {
    char link[64], path[4096];
    const char *order = getenv("TONGBAN_FAILING_SYNC");
    int file = order ? open(order, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t got = read(file, wanted, room - 1);
    close(file);
    if (got <= 0) return 0;
    wanted[got] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    return strstr(path, wanted) != NULL && unlink(order) == 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t done = real(fd, bytes, len, at);
    if (getenv("TONGBAN_FAILING_SYNC") && done > 0) {
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t got = readlink(link, path, sizeof path - 1);
        if (got > 4 && memcmp(path + got - 4, ".seg", 4) == 0) {
            pthread_mutex_lock(&turn);
            last_fd = fd, last_at = at, last_len = (size_t)done;
            pthread_mutex_unlock(&turn);
        }
    }
    return done;
}

int fdatasync(int fd) {
    static int (*real)(int);
    char wanted[4096];
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    if (!is_meant(fd, wanted, sizeof wanted)) return real(fd);
    pthread_mutex_lock(&turn);
    if (last_fd == fd && last_len > 1) {
        size_t lost = last_len / 2;
        char *zeros = calloc(1, lost);
        if (zeros) pwrite(fd, zeros, lost, last_at + (off_t)(last_len - lost));
        free(zeros);
    }
    pthread_mutex_unlock(&turn);
    errno = EIO;
    return -1;
}
