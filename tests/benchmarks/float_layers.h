/* The opponent's layers: weights of 32 bits, inputs that do not spike skipped. Sizes are constants wherever they are called,
   so that the compiler makes a function of each. Maps are [height][width][channels], the channels of a place together. */
#ifndef FLOAT_LAYERS_H
#define FLOAT_LAYERS_H

#include <stdint.h>

#define LAYER static inline __attribute__((always_inline))

/* weight [inputs][outputs] */
LAYER void float_linear(const uint16_t *events, int n, const float *weight, const float *bias, int outputs, float *out) {
    int i, o;
    for (o = 0; o < outputs; o++) out[o] = bias[o];
    for (i = 0; i < n; i++) {
        const float *const row = weight + events[i] * outputs;
        for (o = 0; o < outputs; o++) out[o] += row[o];
    }
}

/* weight [channels][kernel][kernel][outputs]; every input adds to the places that see it */
LAYER void float_conv(const uint16_t *events, int n, const float *weight, const float *bias, int channels, int height,
                      int width, int kernel, int outputs, float *out) {
    const int below = height - kernel + 1, right = width - kernel + 1;
    int i, o, y, x;
    for (i = 0; i < below * right; i++)
        for (o = 0; o < outputs; o++) out[i * outputs + o] = bias[o];
    for (i = 0; i < n; i++) {
        const int channel = events[i] % channels, place = events[i] / channels, row = place / width, column = place % width;
        const int first_y = row < below ? 0 : row - below + 1, last_y = row < kernel ? row : kernel - 1;
        const int first_x = column < right ? 0 : column - right + 1, last_x = column < kernel ? column : kernel - 1;
        for (y = first_y; y <= last_y; y++)
            for (x = first_x; x <= last_x; x++) {
                const float *const tap = weight + ((channel * kernel + y) * kernel + x) * outputs;
                float *const to = out + ((row - y) * right + column - x) * outputs;
                for (o = 0; o < outputs; o++) to[o] += tap[o];
            }
    }
}

/* the maximum of 2 by 2 places */
LAYER void float_pool(const float *in, int channels, int height, int width, float *out) {
    int y, x, c;
    for (y = 0; y < height / 2; y++)
        for (x = 0; x < width / 2; x++) {
            const float *const at = in + (2 * y * width + 2 * x) * channels, *const under = at + width * channels;
            for (c = 0; c < channels; c++) {
                float most = at[c];
                if (at[c + channels] > most) most = at[c + channels];
                if (under[c] > most) most = under[c];
                if (under[c + channels] > most) most = under[c + channels];
                *out++ = most;
            }
        }
}

/* the places of the neurons that spike */
LAYER int float_leaky(const float *current, int n, float beta, float threshold, float *mem, uint16_t *events) {
    int i, spikes = 0;
    for (i = 0; i < n; i++) {
        const float before = mem[i];
        float now = beta * before + current[i];
        if (before > threshold) now -= threshold;
        mem[i] = now;
        if (now > threshold) events[spikes++] = (uint16_t)i;
    }
    return spikes;
}

#endif
