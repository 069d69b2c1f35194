#include "ticks.h"

#include "board.h"

uint64_t ticks_now(void) {
    static uint64_t total;
    total += (uint32_t)(board_ticks() - (uint32_t)total);
    return total;
}

// In two parts, since ticks * 1000000 would overflow after a day.
uint64_t microseconds_now(void) {
    uint64_t ticks = ticks_now(), seconds = ticks / BOARD_CLOCK_HZ;
    return seconds * 1000000 + (ticks - seconds * BOARD_CLOCK_HZ) * 1000000 / BOARD_CLOCK_HZ;
}

uint64_t ticks_to_counts(uint64_t ticks) { return ticks * BOARD_COUNTS / BOARD_TICKS; }
