/* Preloaded into a gateway: whichever of its processes gets SIGUSR2 hangs for ever, whatever else it is sent. */
#include <signal.h>
#include <unistd.h>

static void hang(int number) {
    (void)number;
    for (;;) pause();
}

__attribute__((constructor)) static void begin(void) { signal(SIGUSR2, hang); }
