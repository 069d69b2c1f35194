#include "serial.h"

#include "board.h"
#include "cortex_m.h"

enum { kRingBytes = 1024 };  // a power of two, longer than one frame or one command

static volatile uint8_t ring[kRingBytes];
static volatile uint32_t written, taken;  // free-running; only the interrupt changes `written`, only the reader `taken`
static volatile uint32_t lost_bytes, line_errors;

void serial_received(uint8_t byte) {
    if (serial_room() == 0) {
        ++lost_bytes;
        return;
    }
    ring[written % kRingBytes] = byte;
    ++written;
}

void serial_line_error(void) { ++line_errors; }

int serial_read(void) {
    if (written == taken) {
        return -1;
    }
    int byte = ring[taken % kRingBytes];
    ++taken;
    serial_resume();
    return byte;
}

// With interrupts off no byte can come between the look and the sleep, which one that comes then ends all the same.
void serial_sleep(void) {
    interrupts_off();
    if (written == taken) {
        board_sleep();
    }
    interrupts_on();
}

bool serial_holds(uint8_t byte) {
    for (uint32_t next = taken; next != written; ++next) {
        if (ring[next % kRingBytes] == byte) {
            return true;
        }
    }
    return false;
}

uint32_t serial_room(void) { return kRingBytes - (written - taken); }
uint32_t serial_lost_bytes(void) { return lost_bytes; }
uint32_t serial_line_errors(void) { return line_errors; }

__attribute__((weak)) void serial_resume(void) {}
