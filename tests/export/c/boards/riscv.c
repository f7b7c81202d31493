/* Start of a RISC-V and its words to the outside, by semihosting. */
#include <stdint.h>
#include "board.h"

__attribute__((section(".start"), naked, used)) void start(void);

void start(void) {
    __asm__ volatile("la sp, stack_top\n call board_main\n call done");
}

static void __attribute__((noinline)) host(uint32_t what, const void *with) {
    register uint32_t a0 __asm__("a0") = what;
    register const void *a1 __asm__("a1") = with;
    __asm__ volatile(
        ".option push\n .option norvc\n .balign 16\n slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n .option pop"
        : "+r"(a0) : "r"(a1) : "memory");
}

void put(const char *text) { host(0x04, text); }

void done(void) {
    host(0x18, (const void *)0x20026);
    for (;;) {}
}
