/* Shows the float network its inputs, and prints how long each step took. */
#include <stdint.h>
#include "board.h"
#define WITH_INPUTS
#include "float_network.h"

static float_state state;

void board_main(void) {
    uint32_t t;
    float_reset(&state);
    for (t = 0; t < STEPS; t++) {
        char text[10];
        uint32_t n, i;
        begin_count();
        float_step(&state, inputs[t]);
        n = count();
        for (i = 0; i < 8u; i++) text[i] = "0123456789abcdef"[(n >> (28u - 4u * i)) & 15u];
        text[8] = '\n';
        text[9] = 0;
        put(text);
    }
}
