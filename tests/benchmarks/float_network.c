/* The opponent: the same network in float C, weights of 32 bits, which skips silent inputs and looks up rows. */
#include "float_network.h"

static float current[HIDDEN];

void float_reset(float_state *s) {
    int i;
    for (i = 0; i < HIDDEN; i++) s->mem[i] = 0.0f;
    for (i = 0; i < CLASSES; i++) s->total[i] = 0.0f;
}

void float_step(float_state *s, const uint32_t *spikes) {
    int i, o, w;
    for (o = 0; o < HIDDEN; o++) current[o] = first_bias[o];
    for (w = 0; w < (INPUTS + 31) / 32; w++) {
        uint32_t word = spikes[w];
        for (i = 32 * w; word != 0u; i++, word >>= 1)
            if (word & 1u)
                for (o = 0; o < HIDDEN; o++) current[o] += first[i][o];
    }
    for (o = 0; o < CLASSES; o++) s->total[o] += second_bias[o];
    for (i = 0; i < HIDDEN; i++) {
        const float before = s->mem[i];
        float mem = BETA * before + current[i];
        if (before > THRESHOLD) mem -= THRESHOLD;
        s->mem[i] = mem;
        if (mem > THRESHOLD)
            for (o = 0; o < CLASSES; o++) s->total[o] += second[i][o];
    }
}
