/* Shows the network what `inputs.h` holds, and prints after every step scores and the spikes of the last hidden layer,
   and then the answer, as words in hex: a line at once, as a word to the outside costs an emulator most. */
#include <stdint.h>
#include <string.h>
#include "board.h"
#include "inputs.h"

static char line[9u * (NET_MEMBERS * NET_CLASSES + SPIKE_WORDS + 4u) + 2u];
static uint32_t length;

static void put_word(uint32_t word) {
    int i;
    for (i = 0; i < 8; i++) line[length++] = "0123456789abcdef"[(word >> (28 - 4 * i)) & 15u];
    line[length++] = ' ';
}

static void put_line(void) {
    line[length++] = '\n';
    line[length] = 0;
    put(line);
    length = 0;
}

static void put_bits(const void *number) {
    uint32_t word;
    memcpy(&word, number, sizeof word);
    put_word(word);
}

static net_state state;

void board_main(void) {
    static SCORE scores[NET_MEMBERS * NET_CLASSES];
    static net_answer answer;
    uint32_t example, t, i;
    for (example = 0; example < EXAMPLES; example++) {
        net_reset(&state);
        for (t = 0; t < STEPS; t++) {
            STEP(&state, inputs[example][t]);
            net_scores(&state, scores);
            for (i = 0; i < NET_MEMBERS * NET_CLASSES; i++) put_bits(&scores[i]);
#if SPIKE_WORDS
            for (i = 0; i < SPIKE_WORDS; i++) put_word(state.bits[i]); /* where those of that layer stand in the end */
#endif
            put_line();
        }
        net_result(&state, &answer);
        put_word(answer.label);
        for (i = 0; i < sizeof answer.probabilities / sizeof answer.probabilities[0]; i++) put_bits(&answer.probabilities[i]);
        put_bits(&answer.entropy);
        put_bits(&answer.mutual_information);
        put_line();
    }
}
