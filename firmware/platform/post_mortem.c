#include "post_mortem.h"

#include <string.h>

#include "console.h"

typedef enum { kStarting, kIdle, kOperator, kFault, kFaultInStart } Activity;

static const uint32_t kMagic = 0x1a57d1ed;  // other contents are those of power on

static struct {
    uint32_t magic;
    Activity activity;
    uint32_t value;
} record __attribute__((section(".noinit")));

static char text[48];
static bool in_start;

static void note(Activity activity, uint32_t value) {
    record.magic = kMagic;
    record.activity = activity;
    record.value = value;
}

void post_mortem_starting(void) { note(kStarting, 0); }
void post_mortem_idle(void) { note(kIdle, 0); }
void post_mortem_operator(uint32_t index) { note(kOperator, index); }

void post_mortem_fault(uint32_t address) {
    note(record.magic == kMagic && record.activity == kStarting ? kFaultInStart : kFault, address);
}

static void append(const char *more) { strncat(text, more, sizeof text - 1 - strlen(text)); }

static void append_hang(void) {
    char digits[kUnsignedDigits];
    append("watchdog: it hung ");
    if (record.activity == kOperator) {
        append("in operator ");
        append(unsigned_text(record.value, digits));
    } else {
        append(record.activity == kStarting ? "while it started" : "between inferences");
    }
}

static void append_fault(void) {
    char digits[9] = "";
    for (int i = 0; i < 8; ++i) {
        digits[i] = "0123456789abcdef"[(record.value >> (28 - 4 * i)) & 15];
    }
    append("fault at 0x");
    append(digits);
}

void post_mortem_read(bool reset_by_watchdog) {
    bool known = record.magic == kMagic;
    if (known && record.activity >= kFault) {
        append_fault();
    } else if (known && reset_by_watchdog) {
        append_hang();
    } else if (reset_by_watchdog) {
        append("watchdog");
    }
    in_start = text[0] != '\0' && known && (record.activity == kStarting || record.activity == kFaultInStart);
    post_mortem_starting();
}

const char *post_mortem_text(void) { return text; }
bool post_mortem_in_start(void) { return in_start; }
