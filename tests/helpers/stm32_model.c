// Runs a port of an STM32 family on this machine. Its registers are words of a table, in which RULES stand for the hardware:
// where the bits `mask` of the word at `control` are `value`, the bits `bits` of the word at `status` are set, else cleared.
// test_stm32_ports.py compiles it with the port, and reads what it prints.

#include <stdio.h>
#include <stdlib.h>

#include PORT_SOURCE

typedef struct {
    uint32_t control, mask, value, status, bits;
} Rule;

#ifdef LOCK
typedef struct {
    uint32_t control, bit, locked, broken;
} Lock;
#endif

static const Rule kRules[] = {RULES};
static uint32_t addresses[64], words[64];
static unsigned used;

static uint32_t *word_at(uint32_t address) {
    for (unsigned i = 0; i < used; ++i) {
        if (addresses[i] == address) {
            return &words[i];
        }
    }
    addresses[used] = address;
    return &words[used++];
}

// What is written to a locked register is gone, until its control was read with the bit, some time after that was set.
static void keep_locked(uint32_t address) {
#ifdef LOCK
    static const Lock lock = LOCK;
    static bool open;
    if (address == lock.control && lock.broken) {
        *word_at(address) &= ~lock.bit;
    }
    open |= address == lock.control && (*word_at(address) & lock.bit);
    if (!open) {
        *word_at(lock.locked) = 0;
    }
#endif
    (void)address;
}

volatile uint32_t *model_register(uint32_t address) {
    keep_locked(address);
    for (unsigned i = 0; i < sizeof kRules / sizeof *kRules; ++i) {
        const Rule *rule = &kRules[i];
        bool set = (*word_at(rule->control) & rule->mask) == rule->value;
        uint32_t others = *word_at(rule->status) & ~rule->bits;
        *word_at(rule->status) = others | (set ? rule->bits : 0);
    }
    *word_at(0xE0001004) += 100;  // CYCCNT
    return word_at(address);
}

void serial_received(uint8_t byte) { printf("received %u\n", byte); }
void serial_line_error(void) { printf("line error\n"); }
void restart(void) { exit(0); }

static void dump(const char *when) {
    for (unsigned i = 0; i < used; ++i) {
        printf("%s %08x %08x\n", when, (unsigned)addresses[i], (unsigned)words[i]);
    }
}

static void receive(uint32_t status, uint8_t byte) {
    USART_SR = status;
    USART_RDR = byte;
    board_serial_interrupt();
}

int main(void) {
    static const uint32_t kRates[] = {0, 300, 9600, 115200, 921600, 1500000, 100000000};
    const char *error = board_init();
    printf("error %s\n", error == NULL ? "" : error);
    dump("init");
    for (unsigned i = 0; i < sizeof kRates / sizeof *kRates; ++i) {
        bool set = board_set_baud(kRates[i]);
        printf("baud %u %d %u\n", (unsigned)kRates[i], set, (unsigned)USART_BRR);
    }
    DWT_CYCCNT = 0;
    board_sleep();
    printf("slept %u, SysTick %u\n", (unsigned)DWT_CYCCNT, (unsigned)SYST_CSR & 1);
    board_set_baud(9600);
    dump("9600");
    receive(USART_SR_RXNE, 65);
    receive(USART_SR_RXNE | 2, 66);
    receive(8, 67);
    RCC_RESETS = 0xFFFFFFFF & ~RCC_RESETS_FORGET;
    printf("reset by watchdog %d\n", board_reset_by_watchdog());
    RCC_RESETS = ~(RCC_RESETS_FORGET | RCC_RESETS_IWDG);
    printf("reset by watchdog %d\n", board_reset_by_watchdog());
    board_watchdog_start();
    board_timestamp_edge();
    dump("end");
    board_exit(0);
}
