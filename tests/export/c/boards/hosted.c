/* A machine with an operating system. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "board.h"

void put(const char *text) { fputs(text, stdout); }
void done(void) { exit(0); }

int main(void) {
    board_main();
    return 0;
}
