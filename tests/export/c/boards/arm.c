/* Start of a Cortex-M and its words to the outside, by semihosting. */
#include <stdint.h>
#include "board.h"

extern uint32_t data_from, data_begin, data_end, bss_begin, bss_end, stack_top;
void start(void);

static void host(uint32_t what, const void *with) {
    register uint32_t r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void put(const char *text) { host(0x04, text); }

void done(void) {
    host(0x18, (const void *)0x20026); /* ADP_Stopped_ApplicationExit */
    for (;;) {}
}

static void failed(void) {
    put("fault\n");
    done();
}

void begin_count(void) {
    *(volatile uint32_t *)0xE000E014 = 0xFFFFFF; /* SysTick, by the clock of the processor */
    *(volatile uint32_t *)0xE000E018 = 0;
    *(volatile uint32_t *)0xE000E010 = 5;
}

uint32_t count(void) { return 0xFFFFFF - *(volatile uint32_t *)0xE000E018; }

void start(void) {
    uint32_t *from = &data_from, *to;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit is off at first */
    __asm__ volatile("dsb; isb");
#endif
    for (to = &data_begin; to < &data_end;) *to++ = *from++;
    for (to = &bss_begin; to < &bss_end;) *to++ = 0;
    board_main();
    done();
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))&stack_top, start, failed, failed, failed, failed, failed,
};
