/* Sleeps as the kernel does. libfaketime refuses sleeps until a time of the monotonic clock, which Python's are, if it
   is told to leave that clock alone. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left)
{
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) == 0 ? 0 : errno;
}
