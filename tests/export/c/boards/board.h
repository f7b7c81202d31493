/* What a program needs of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void put(const char *text);
void done(void);
void board_main(void);
void begin_count(void); /* of a Cortex-M */
uint32_t count(void);   /* since then, of a clock that goes on with instructions */

#endif
