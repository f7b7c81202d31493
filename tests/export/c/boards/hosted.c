/* A machine with an operating system. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "board.h"

void put(const char *text) { fputs(text, stdout); }
void done(void) { exit(0); }
void begin_count(void) {}
uint32_t count(void) { return 0; }

int main(void) {
    board_main();
    return 0;
}
