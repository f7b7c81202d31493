/* Shows the network what `inputs.h` holds, and prints scores after every step and answers as words in hex. */
#include <stdint.h>
#include <string.h>
#include "board.h"
#include "inputs.h"

static void put_word(uint32_t word) {
    char text[10];
    int i;
    for (i = 0; i < 8; i++) text[i] = "0123456789abcdef"[(word >> (28 - 4 * i)) & 15u];
    text[8] = ' ';
    text[9] = 0;
    put(text);
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
    uint32_t example, t, i, most = 0;
    for (example = 0; example < EXAMPLES; example++) {
        net_reset(&state);
        for (t = 0; t < STEPS; t++) {
            begin_count();
            STEP(&state, inputs[example][t]);
            if (count() > most) most = count();
            net_scores(&state, scores);
            for (i = 0; i < NET_MEMBERS * NET_CLASSES; i++) put_bits(&scores[i]);
            put("\n");
        }
        net_result(&state, &answer);
        put_word(answer.label);
        for (i = 0; i < sizeof answer.probabilities / sizeof answer.probabilities[0]; i++) put_bits(&answer.probabilities[i]);
        put_bits(&answer.entropy);
        put_bits(&answer.mutual_information);
        put("\n");
    }
    put("most ");
    put_word(most);
    put("\n");
}
