/* The runtime of networks written by snntorch_binary: the same for all of them. MIT licence. */
#ifndef SNNB_H
#define SNNB_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits are words of 32, the first in the lowest bit. */
#define SNNB_WORDS(n) (((n) + 31u) / 32u)
#define SNNB_BIT(bits, i) (((bits)[(i) >> 5] >> ((i) & 31u)) & (uint32_t)1)
#define SNNB_SET(bits, i) ((bits)[(i) >> 5] |= (uint32_t)1 << ((i) & 31u))

/* A word of spikes, neuron by neuron: each goes in at the top, and after n of them the first is the lowest bit. */
#define SNNB_FIRED(word, fired) ((word) = (fired) ? ((word) >> 1) | ((uint32_t)1 << 31) : (word) >> 1)
#define SNNB_WORD(word, n) ((word) >> (32u - (n)))

/* Which inputs an output position sees, in three dimensions; those that a layer lacks have one position. */
typedef struct {
    uint16_t before[3], after[3]; /* positions of the input and of the output */
    uint16_t kernel[3], stride[3], dilation[3], padding[3], spread[3];
} snnb_window;

/* Sums of weights of +1 and -1 over the inputs that spike. */

/* Every output sees every input. Of each input a row of bits, one an output, from a new word on if there are 32 or more;
   planes: SNNB_WORDS(outputs) times the bits of the largest count, at least 4. */
void snnb_sum_rows(const uint32_t *bits, uint32_t inputs, const uint32_t *rows, uint32_t outputs, uint32_t *planes,
                   uint32_t num_planes, int16_t *sums);
/* The same where many inputs spike: of each output a row of bits, one an input. */
void snnb_sum_columns(const uint32_t *bits, uint32_t inputs, const uint32_t *columns, uint32_t outputs, int16_t *sums);
/* A convolution, and the maximum over windows of it. For each tap along a row, tap across it and input channel of a group a
   row of bits, one an output channel of the group, without gaps; seen: a bit for each position along a row that an output
   sees, padding included, tap across it and input channel of a group. */
void snnb_sum_window(const uint32_t *bits, uint32_t channels, const uint32_t *rows, uint32_t outputs, uint32_t groups,
                     const snnb_window *window, const snnb_window *pool, uint32_t *seen, int16_t *sums);

/* The same of real numbers, added one after the other; without a window every output sees every input. */
void snnb_add_real(const float *x, uint32_t channels, const uint32_t *rows, uint32_t outputs, uint32_t groups,
                   const snnb_window *window, float *sums);
void snnb_add_fixed(const int32_t *x, uint32_t channels, const uint32_t *rows, uint32_t outputs, uint32_t groups,
                    const snnb_window *window, int32_t *sums);

/* The maximum over windows of each channel. */
void snnb_pool_bits(const uint32_t *bits, uint32_t channels, const snnb_window *window, uint32_t *out);
void snnb_pool_sums(const int16_t *x, uint32_t channels, const snnb_window *window, int16_t *out);
void snnb_pool_real(const float *x, uint32_t channels, const snnb_window *window, float *out);
void snnb_pool_fixed(const int32_t *x, uint32_t channels, const snnb_window *window, int32_t *out);

/* a * b + c in one rounding. */
float snnb_fma(float a, float b, float c);

/* a * b of numbers with `point` binary places, rounded, and held within 32 bits. */
int32_t snnb_fixed_mul(int32_t a, int32_t b, unsigned point);
int32_t snnb_fixed_div(int32_t a, int32_t b, unsigned point);
int32_t snnb_fixed_add(int32_t a, int32_t b);
int32_t snnb_fixed_sub(int32_t a, int32_t b);
/* The nearest number that 32 bits hold. */
int32_t snnb_fixed_held(int64_t x);

#ifdef __cplusplus
}
#endif
#endif
