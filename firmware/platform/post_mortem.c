#include "post_mortem.h"

#include <string.h>

#include "console.h"

typedef enum { kStarting, kIdle, kOperator } Activity;

static const uint32_t kMagic = 0x1a57d1ee;  // other contents are those of power on

static struct {
    uint32_t magic;
    Activity activity;
    uint32_t index;  // of the operator
    Fault fault;
    uint32_t address;
} record __attribute__((section(".noinit")));

static char text[64];
static bool in_start;

static void note(Activity activity, uint32_t index) {
    record.magic = kMagic;
    record.activity = activity;
    record.index = index;
    record.fault = kNoFault;
}

void post_mortem_starting(void) { note(kStarting, 0); }
void post_mortem_idle(void) { note(kIdle, 0); }
void post_mortem_operator(uint32_t index) { note(kOperator, index); }

void post_mortem_fault(Fault fault, uint32_t address) {
    if (record.magic != kMagic) {
        note(kStarting, 0);  // before main() has read what a restart left
    }
    record.fault = fault;
    record.address = address;
}

const char *post_mortem_fault_name(Fault fault) {
    return fault == kStackOverflow ? "stack overflow" : fault == kNullPointer ? "null pointer" : "fault";
}

static void append(const char *more) { strncat(text, more, sizeof text - 1 - strlen(text)); }

static void append_activity(void) {
    char digits[kUnsignedDigits];
    if (record.activity == kOperator) {
        append(" in operator ");
        append(unsigned_text(record.index, digits));
    } else {
        append(record.activity == kStarting ? " while it started" : " between inferences");
    }
}

static void append_fault(void) {
    char digits[9] = "";
    for (int i = 0; i < 8; ++i) {
        digits[i] = "0123456789abcdef"[(record.address >> (28 - 4 * i)) & 15];
    }
    append(post_mortem_fault_name(record.fault));
    append(" at 0x");
    append(digits);
    append_activity();
}

void post_mortem_read(bool reset_by_watchdog) {
    bool known = record.magic == kMagic;
    if (known && record.fault != kNoFault) {
        append_fault();
    } else if (known && reset_by_watchdog) {
        append("watchdog: it hung");
        append_activity();
    } else if (reset_by_watchdog) {
        append("watchdog");
    }
    in_start = text[0] != '\0' && known && record.activity == kStarting;
    post_mortem_starting();
}

const char *post_mortem_text(void) { return text; }
bool post_mortem_in_start(void) { return in_start; }
