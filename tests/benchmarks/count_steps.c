/* Shows a network the events of its inputs, and prints how long each step took, and then its scores. */
#include <string.h>
#include "board.h"
#include "net.h"
#include "events.h"

static net_state state;
volatile uint32_t sink;

static void put_word(uint32_t word) {
    char text[10];
    uint32_t i;
    for (i = 0; i < 8u; i++) text[i] = "0123456789abcdef"[(word >> (28u - 4u * i)) & 15u];
    text[8] = '\n';
    text[9] = 0;
    put(text);
}

void board_main(void) {
    static SCORE scores[NET_MEMBERS * NET_CLASSES];
    uint32_t t, i, word;
    begin_count();
    for (i = 0; i < 1000u; i++) sink = i; /* three or four instructions each, on every core: is the clock right? */
    put_word(count());
    net_reset(&state);
    for (t = 0; t < STEPS; t++) {
        begin_count();
        net_step_events(&state, events + first[t], first[t + 1] - first[t]);
        put_word(count());
    }
    net_scores(&state, scores);
    for (i = 0; i < NET_MEMBERS * NET_CLASSES; i++) {
        memcpy(&word, &scores[i], sizeof word);
        put_word(word);
    }
}
