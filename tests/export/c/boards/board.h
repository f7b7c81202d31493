/* What a program needs of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void put(const char *text);
void done(void);
void begin_count(void);
uint32_t count(void); /* since then: instructions, or as many of a clock that goes on with them */
void board_main(void);

#endif
