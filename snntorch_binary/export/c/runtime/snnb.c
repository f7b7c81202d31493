/* The runtime of networks written by snntorch_binary: the same for all of them. MIT licence. */
#include "snnb.h"

static uint32_t ones(uint32_t x) {
#if defined(__GNUC__) && defined(__POPCNT__)
    return (uint32_t)__builtin_popcountl((unsigned long)x);
#else
    x = x - ((x >> 1) & 0x55555555u);
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    x = (x + (x >> 8)) & 0x00FF00FFu;
    return (x + (x >> 16)) & 0x3Fu;
#endif
}

/* The place of the lowest one of x, which is not 0. */
static uint32_t lowest(uint32_t x) {
#if defined(__GNUC__) && (defined(__i386__) || defined(__x86_64__) || defined(__aarch64__) || defined(__ARM_FEATURE_CLZ))
    return (uint32_t)__builtin_ctzl((unsigned long)x);
#else
    static const uint8_t place[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                      31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return place[(uint32_t)((x & (0u - x)) * (uint32_t)0x077CB531u) >> 27];
#endif
}

/* Counters of 32 outputs at once: a plane holds one bit of each, and the planes of a word of outputs stand together. Eight
   rows go through a carry-save adder together. */

#define SNNB_CARRY(carry, sum, a, b)                   \
    do {                                               \
        const uint32_t u = (sum) ^ (a);                \
        carry = ((sum) & (a)) | (u & (b));             \
        sum = u ^ (b);                                 \
    } while (0)

static void add_upwards(uint32_t *plane, uint32_t carry) {
    while (carry != 0u) {
        const uint32_t both = *plane & carry;
        *plane++ ^= carry;
        carry = both;
    }
}

static void add_one(uint32_t *planes, uint32_t num_planes, uint32_t words, const uint32_t *row) {
    for (; words > 0u; words--, planes += num_planes) add_upwards(planes, *row++);
}

/* Rows by where they begin, which a processor of few registers may look up again for each word. */
static void add_eight(uint32_t *planes, uint32_t num_planes, uint32_t words, const uint32_t *rows, const uint32_t *from) {
    for (; words > 0u; words--, planes += num_planes, rows++) {
        uint32_t one = planes[0], two = planes[1], four = planes[2];
        uint32_t two_a, two_b, four_a, four_b, eight;
        SNNB_CARRY(two_a, one, rows[from[0]], rows[from[1]]);
        SNNB_CARRY(two_b, one, rows[from[2]], rows[from[3]]);
        SNNB_CARRY(four_a, two, two_a, two_b);
        SNNB_CARRY(two_a, one, rows[from[4]], rows[from[5]]);
        SNNB_CARRY(two_b, one, rows[from[6]], rows[from[7]]);
        SNNB_CARRY(four_b, two, two_a, two_b);
        SNNB_CARRY(eight, four, four_a, four_b);
        planes[0] = one;
        planes[1] = two;
        planes[2] = four;
        add_upwards(planes + 3, eight);
    }
}

/* The counts of 32 outputs in up to 8 planes, as bytes: those of outputs k, k + 8, k + 16 and k + 24 in counts[k]. */
static void take_bytes(const uint32_t *planes, uint32_t num_planes, uint32_t *counts) {
    const uint32_t each = 0x01010101u;
    uint32_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    while (num_planes > 0u) {
        const uint32_t word = planes[--num_planes];
        a = (a << 1) + (word & each);
        b = (b << 1) + ((word >> 1) & each);
        c = (c << 1) + ((word >> 2) & each);
        d = (d << 1) + ((word >> 3) & each);
        e = (e << 1) + ((word >> 4) & each);
        f = (f << 1) + ((word >> 5) & each);
        g = (g << 1) + ((word >> 6) & each);
        h = (h << 1) + ((word >> 7) & each);
    }
    counts[0] = a, counts[1] = b, counts[2] = c, counts[3] = d;
    counts[4] = e, counts[5] = f, counts[6] = g, counts[7] = h;
}

static void take_sums(const uint32_t *planes, uint32_t of_word, uint32_t outputs, uint32_t spikes, int16_t *all) {
    uint32_t num_planes = 0, low[8], high[8], first, k, o;
    const int32_t silent = (int32_t)spikes;
    while (spikes >> num_planes != 0u) num_planes++; /* no count has more bits */
    for (first = 0; first < outputs; first += 32u, planes += of_word) {
        const uint32_t here = outputs - first < 32u ? outputs - first : 32u;
        int16_t *const sums = all + first;
        take_bytes(planes, num_planes < 8u ? num_planes : 8u, low);
        if (num_planes > 8u) {
            take_bytes(planes + 8, num_planes - 8u, high);
            for (o = 0; o < here; o++) {
                const uint32_t at = o & 24u; /* of the byte */
                const uint32_t count = ((low[o & 7u] >> at) & 255u) + (((high[o & 7u] >> at) & 255u) << 8);
                sums[o] = (int16_t)(2 * (int32_t)count - silent);
            }
        } else if (here == 32u) {
            for (k = 0; k < 8u; k++) {
                const uint32_t counts = low[k];
                sums[k] = (int16_t)(2 * (int32_t)(counts & 255u) - silent);
                sums[k + 8u] = (int16_t)(2 * (int32_t)((counts >> 8) & 255u) - silent);
                sums[k + 16u] = (int16_t)(2 * (int32_t)((counts >> 16) & 255u) - silent);
                sums[k + 24u] = (int16_t)(2 * (int32_t)(counts >> 24) - silent);
            }
        } else {
            for (k = 0; k < 8u; k++) {
                uint32_t counts = low[k];
                for (o = k; o < here; o += 8u, counts >>= 8) sums[o] = (int16_t)(2 * (int32_t)(counts & 255u) - silent);
            }
        }
    }
}

/* At least n bits from a place on. */
static uint32_t word_at(const uint32_t *bits, uint32_t place, uint32_t n) {
    const uint32_t shift = place & 31u;
    uint32_t word = bits[place >> 5] >> shift;
    if (shift + n > 32u) word |= bits[(place >> 5) + 1u] << (32u - shift);
    return word;
}

/* Up to 32 bits from a place on; those behind them are 0. */
static uint32_t bits_at(const uint32_t *bits, uint32_t place, uint32_t n) {
    return word_at(bits, place, n) & ((uint32_t)0xFFFFFFFFu >> (32u - n));
}

void snnb_sum_rows(const uint32_t *bits, uint32_t inputs, const uint32_t *rows, uint32_t outputs, uint32_t *planes,
                   uint32_t num_planes, int16_t *sums) {
    const uint32_t words = SNNB_WORDS(outputs);
    uint32_t waiting[8], n = 0, spikes = 0, k, i;
    for (k = 0; k < words * num_planes; k++) planes[k] = 0;
    for (k = 0; k < SNNB_WORDS(inputs); k++) {
        uint32_t word;
        for (word = bits[k]; word != 0u; word &= word - 1u) {
            const uint32_t input = 32u * k + lowest(word);
            if (outputs < 32u) {
                add_upwards(planes, bits_at(rows, input * outputs, outputs));
                spikes++;
                continue;
            }
            waiting[n++] = input * words;
            if (n == 8u) {
                add_eight(planes, num_planes, words, rows, waiting);
                spikes += 8u;
                n = 0;
            }
        }
    }
    for (i = 0; i < n; i++) add_one(planes, num_planes, words, rows + waiting[i]);
    take_sums(planes, num_planes, outputs, spikes + n, sums);
}

void snnb_sum_columns(const uint32_t *bits, uint32_t inputs, const uint32_t *columns, uint32_t outputs, int16_t *sums) {
    const uint32_t words = SNNB_WORDS(inputs);
    uint32_t spikes = 0, o, k;
    for (k = 0; k < words; k++) spikes += ones(bits[k]);
    for (o = 0; o < outputs; o++, columns += words) {
        uint32_t count = 0;
        for (k = 0; k < words; k++) count += ones(bits[k] & columns[k]);
        sums[o] = (int16_t)(2 * (int32_t)count - (int32_t)spikes);
    }
}

static uint32_t volume(const uint16_t *sides) {
    return (uint32_t)sides[0] * sides[1] * sides[2];
}

/* The input position that an output position sees by a tap; -1 for padding. */
static int32_t input_at(const snnb_window *w, unsigned d, uint32_t q, uint32_t tap) {
    const int32_t place = (int32_t)(q * w->stride[d] + tap * w->dilation[d]) - (int32_t)w->padding[d];
    int32_t at;
    if (place < 0) return -1;
    at = w->spread[d] == 1u ? place : place / (int32_t)w->spread[d];
    return at * (int32_t)w->spread[d] == place && at < (int32_t)w->before[d] ? at : -1;
}

/* What a row of output places sees, padding included: for each position along the row a bit for each tap across it and
   each channel, so that what one place sees is one run of bits. */
static void see_row(const snnb_window *w, const uint32_t *bits, uint32_t channel, uint32_t channels, uint32_t z,
                    uint32_t y, uint32_t *seen) {
    const uint32_t across = (uint32_t)w->kernel[0] * w->kernel[1] * channels, size = w->before[2];
    const uint32_t last = (uint32_t)(w->after[2] - 1u) * w->stride[2] + (uint32_t)(w->kernel[2] - 1u) * w->dilation[2];
    uint32_t tz, ty, c, x, word, to = 0;
    memset(seen, 0, SNNB_WORDS((last + 1u) * across) * sizeof *seen);
    for (tz = 0; tz < w->kernel[0]; tz++)
        for (ty = 0; ty < w->kernel[1]; ty++, to += channels) {
            const int32_t iz = input_at(w, 0, z, tz), iy = input_at(w, 1, y, ty);
            if (iz < 0 || iy < 0) continue;
            for (c = 0; c < channels; c++) {
                const uint32_t at = (((channel + c) * w->before[0] + (uint32_t)iz) * w->before[1] + (uint32_t)iy) * size;
                for (x = 0; x < size; x += 32u) {
                    word = bits_at(bits, at + x, size - x < 32u ? size - x : 32u);
                    for (; word != 0u; word &= word - 1u) {
                        const uint32_t place = (x + lowest(word)) * w->spread[2] + w->padding[2];
                        if (place <= last) SNNB_SET(seen, place * across + to + c);
                    }
                }
            }
        }
}

/* Counters of up to 32 outputs; rows of weights wait until there are eight, which are added at once. */
typedef struct {
    uint32_t spikes, planes[16], waiting[8];
} counters;

/* Adds the rows of the spikes among n bits; the first row begins at a bit, the next ones `apart` from it. */
static void add_run(counters *to, const uint32_t *bits, uint32_t at, uint32_t n, const uint32_t *rows, uint32_t row,
                    uint32_t apart, uint32_t outputs) {
    static const uint32_t in_order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint32_t spikes = to->spikes, here, word;
    for (; n > 0u; n -= here, at += here, row += here * apart) {
        here = n < 32u ? n : 32u;
        for (word = bits_at(bits, at, here); word != 0u; word &= word - 1u) {
            to->waiting[spikes & 7u] = word_at(rows, row + lowest(word) * apart, outputs);
            if ((++spikes & 7u) == 0u) add_eight(to->planes, 16u, 1u, to->waiting, in_order);
        }
    }
    to->spikes = spikes;
}

/* Raises sums, which stand apart, to those that were counted, and begins anew. */
static void take_larger(counters *from, uint32_t outputs, int16_t *sums, uint32_t apart) {
    const int32_t silent = (int32_t)from->spikes;
    uint32_t low[8], high[8], num_planes = 0, k;
    if (silent == 0) {
        for (; outputs > 0u; outputs--, sums += apart)
            if (*sums < 0) *sums = 0;
        return;
    }
    for (k = 0; k < (from->spikes & 7u); k++) add_upwards(from->planes, from->waiting[k]);
    while (from->spikes >> num_planes != 0u) num_planes++; /* no count has more bits */
    take_bytes(from->planes, num_planes < 8u ? num_planes : 8u, low);
    if (num_planes > 8u) take_bytes(from->planes + 8, num_planes - 8u, high);
    for (k = 0; k < outputs; k++, sums += apart) {
        uint32_t count = (low[k & 7u] >> (k & 24u)) & 255u;
        int32_t sum;
        if (num_planes > 8u) count += ((high[k & 7u] >> (k & 24u)) & 255u) << 8;
        sum = 2 * (int32_t)count - silent;
        if (sum > *sums) *sums = (int16_t)sum;
    }
    for (k = 0; from->spikes != 0u; from->spikes >>= 1) from->planes[k++] = 0;
}

void snnb_sum_window(const uint32_t *bits, uint32_t channels, const uint32_t *rows, uint32_t outputs, uint32_t groups,
                     const snnb_window *w, const snnb_window *pool, uint32_t *seen, int16_t *sums) {
    const uint32_t after = volume(pool->after), each = channels / groups, of_group = outputs / groups;
    const uint32_t across = (uint32_t)w->kernel[0] * w->kernel[1] * each, kernel = w->kernel[2], along = pool->after[2];
    const uint32_t together = w->dilation[2] == 1u ? kernel : 1u; /* taps whose bits are one run */
    uint32_t group, line, tap, q, t, first, k;
    counters to;
    memset(&to, 0, sizeof to);
    for (k = 0; k < outputs * after; k++) sums[k] = INT16_MIN;
    for (group = 0; group < groups; group++, sums += of_group * after)
        for (line = 0; line < (uint32_t)pool->after[0] * pool->after[1]; line++)
            for (tap = 0; tap < (uint32_t)pool->kernel[0] * pool->kernel[1]; tap++) {
                const int32_t z = input_at(pool, 0, line / pool->after[1], tap / pool->kernel[1]);
                const int32_t y = input_at(pool, 1, line % pool->after[1], tap % pool->kernel[1]);
                if (z < 0 || y < 0) continue;
                see_row(w, bits, group * each, each, (uint32_t)z, (uint32_t)y, seen);
                for (q = 0; q < along; q++)
                    for (t = 0; t < pool->kernel[2]; t++) {
                        const int32_t x = input_at(pool, 2, q, t);
                        if (x < 0) continue;
                        for (first = 0; first < of_group; first += 32u) {
                            const uint32_t n = of_group - first < 32u ? of_group - first : 32u;
                            for (k = 0; k < kernel; k += together) {
                                const uint32_t at = ((uint32_t)x * w->stride[2] + k * w->dilation[2]) * across;
                                const uint32_t row = (group * kernel + k) * across * of_group + first;
                                add_run(&to, seen, at, together * across, rows, row, of_group, n);
                            }
                            take_larger(&to, n, sums + first * after + line * along + q, after);
                        }
                    }
            }
}

#define SNNB_INPUT_OF(w, q, tz, ty, tx, found)                                                             \
    do {                                                                                                   \
        const int32_t iz = input_at(w, 0, (q) / ((uint32_t)(w)->after[1] * (w)->after[2]), tz);            \
        const int32_t iy = input_at(w, 1, (q) / (w)->after[2] % (w)->after[1], ty);                        \
        const int32_t ix = input_at(w, 2, (q) % (w)->after[2], tx);                                        \
        found = iz < 0 || iy < 0 || ix < 0 ? -1 : (iz * (w)->before[1] + iy) * (w)->before[2] + ix;        \
    } while (0)

static const snnb_window everything = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};

#define SNNB_ADD(name, number, plus, minus)                                                                         \
    void name(const number *x, uint32_t channels, const uint32_t *rows, uint32_t outputs, uint32_t groups,          \
              const snnb_window *window, number *sums) {                                                            \
        const snnb_window *const w = window != 0 ? window : &everything;                                            \
        const uint32_t size = volume(w->before), after = volume(w->after), taps = volume(w->kernel);                \
        const uint32_t of_group = outputs / groups, each = channels / groups;                                       \
        uint32_t o, q, c, tz, ty, tx;                                                                               \
        for (o = 0; o < outputs; o++) {                                                                             \
            const uint32_t first = o / of_group * each, at = o % of_group;                                          \
            for (q = 0; q < after; q++) {                                                                           \
                uint32_t place = first * taps * of_group + at;                                                      \
                number total = 0;                                                                                   \
                for (c = first; c < first + each; c++)                                                              \
                    for (tz = 0; tz < w->kernel[0]; tz++)                                                           \
                        for (ty = 0; ty < w->kernel[1]; ty++)                                                       \
                            for (tx = 0; tx < w->kernel[2]; tx++, place += of_group) {                              \
                                int32_t i;                                                                          \
                                SNNB_INPUT_OF(w, q, tz, ty, tx, i);                                                 \
                                if (i >= 0) {                                                                       \
                                    const number value = x[c * size + (uint32_t)i];                                 \
                                    total = SNNB_BIT(rows, place) != 0u ? plus(total, value) : minus(total, value); \
                                }                                                                                   \
                            }                                                                                       \
                sums[o * after + q] = total;                                                                        \
            }                                                                                                       \
        }                                                                                                           \
    }

#define SNNB_PLUS(a, b) ((a) + (b))
#define SNNB_MINUS(a, b) ((a) - (b))

SNNB_ADD(snnb_add_real, float, SNNB_PLUS, SNNB_MINUS)
SNNB_ADD(snnb_add_fixed, int32_t, snnb_fixed_add, snnb_fixed_sub)

#define SNNB_POOL(name, number, least)                                                                                 \
    /* What a tap sees of a row of inputs, for a row of outputs. */                                                    \
    static void name##_row(const number *in, int32_t x, int32_t before, int32_t stride, number *out, uint32_t after) { \
        for (; x < 0 && after > 0u; x += stride, after--) out++;                                                       \
        for (; after > 0u && x < before; after--, x += stride, out++)                                                  \
            if (in[x] > *out) *out = in[x];                                                                            \
    }                                                                                                                  \
    void name(const number *x, uint32_t channels, const snnb_window *window, number *out) {                            \
        const snnb_window here_only = *window, *const w = &here_only;                                                  \
        const uint32_t after = w->after[2];                                                                            \
        uint32_t qz, qy, tz, ty, tx, i;                                                                                \
        for (; channels > 0u; channels--, x += volume(w->before))                                                      \
            for (qz = 0; qz < w->after[0]; qz++)                                                                       \
                for (qy = 0; qy < w->after[1]; qy++, out += after) {                                                   \
                    for (i = 0; i < after; i++) out[i] = least;                                                        \
                    for (tz = 0; tz < w->kernel[0]; tz++)                                                              \
                        for (ty = 0; ty < w->kernel[1]; ty++) {                                                        \
                            const int32_t z = input_at(w, 0, qz, tz), y = input_at(w, 1, qy, ty);                      \
                            if (z < 0 || y < 0) continue;                                                              \
                            for (tx = 0; tx < w->kernel[2]; tx++)                                                      \
                                name##_row(x + (z * w->before[1] + y) * w->before[2],                                  \
                                           (int32_t)(tx * w->dilation[2]) - w->padding[2], w->before[2], w->stride[2], \
                                           out, after);                                                                \
                        }                                                                                              \
                }                                                                                                      \
    }

SNNB_POOL(snnb_pool_sums, int16_t, INT16_MIN)
SNNB_POOL(snnb_pool_real, float, -3.40282347e38f)
SNNB_POOL(snnb_pool_fixed, int32_t, INT32_MIN)

/* The output position, along one dimension, that sees an input position by a tap; -1 where there is none. */
static int32_t output_at(const snnb_window *w, unsigned d, uint32_t at, uint32_t tap) {
    const int32_t place = (int32_t)(at * w->spread[d] + w->padding[d]) - (int32_t)(tap * w->dilation[d]);
    int32_t q;
    if (place < 0) return -1;
    q = place / (int32_t)w->stride[d];
    return q * (int32_t)w->stride[d] == place && q < (int32_t)w->after[d] ? q : -1;
}

void snnb_pool_bits(const uint32_t *bits, uint32_t channels, const snnb_window *w, uint32_t *out) {
    const uint32_t size = volume(w->before), after = volume(w->after);
    uint32_t k, word;
    for (k = 0; k < SNNB_WORDS(channels * after); k++) out[k] = 0;
    for (k = 0; k < SNNB_WORDS(channels * size); k++)
        for (word = bits[k]; word != 0u; word &= word - 1u) {
            const uint32_t element = 32u * k + lowest(word), first = element / size * after, at = element % size;
            const uint32_t z = at / ((uint32_t)w->before[1] * w->before[2]), x = at % w->before[2];
            const uint32_t y = at / w->before[2] % w->before[1];
            uint32_t tz, ty, tx;
            for (tz = 0; tz < w->kernel[0]; tz++)
                for (ty = 0; ty < w->kernel[1]; ty++)
                    for (tx = 0; tx < w->kernel[2]; tx++) {
                        const int32_t qz = output_at(w, 0, z, tz), qy = output_at(w, 1, y, ty);
                        const int32_t qx = output_at(w, 2, x, tx), q = (qz * w->after[1] + qy) * w->after[2] + qx;
                        if (qz >= 0 && qy >= 0 && qx >= 0) SNNB_SET(out, first + (uint32_t)q);
                    }
        }
}

float snnb_fma(float a, float b, float c) {
#if defined(__GNUC__) && defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    /* The product is exact in double. Its sum with c is rounded to odd, so that rounding it again rounds once. */
    const double product = (double)a * (double)b, sum = product + (double)c;
    const double of_c = sum - product, error = (product - (sum - of_c)) + ((double)c - of_c);
    double odd = sum;
    if (error != 0.0) {
        uint64_t bits;
        memcpy(&bits, &odd, sizeof bits);
        if ((bits & 1u) == 0u) {
            bits = (error > 0.0) == (sum > 0.0) ? bits + 1u : bits - 1u;
            memcpy(&odd, &bits, sizeof odd);
        }
    }
    return (float)odd;
#endif
}

int32_t snnb_fixed_held(int64_t x) {
    if (x > INT32_MAX) return INT32_MAX;
    return x < -(int64_t)INT32_MAX ? -INT32_MAX : (int32_t)x;
}

int32_t snnb_fixed_mul(int32_t a, int32_t b, unsigned point) {
    const int64_t product = (int64_t)a * b, half = (int64_t)1 << (point - 1u);
    /* Divided with rounding to the nearest, alike on both sides of zero; a shift of negative numbers is not portable. */
    return snnb_fixed_held(product < 0 ? -(int64_t)((uint64_t)(half - product) >> point) : (product + half) >> point);
}

int32_t snnb_fixed_div(int32_t a, int32_t b, unsigned point) {
    return snnb_fixed_held((int64_t)a * ((int64_t)1 << point) / b);
}

int32_t snnb_fixed_add(int32_t a, int32_t b) { return snnb_fixed_held((int64_t)a + b); }
int32_t snnb_fixed_sub(int32_t a, int32_t b) { return snnb_fixed_held((int64_t)a - b); }
