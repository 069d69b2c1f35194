// From reset to main(), the vector table, faults, and the few functions that libc and the C++ runtime ask of a system.

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "board.h"
#include "console.h"
#include "cortex_m.h"
#include "guard.h"
#include "mpu.h"
#include "post_mortem.h"

extern uint32_t stack_limit[], stack_top[];  // addresses from link.ld.S
extern uint32_t data_start[], data_end[];
extern const uint32_t data_load[];
extern uint32_t bss_start[], bss_end[], arena_start[], arena_end[];
extern void (*const init_array_start[])(void);
extern void (*const init_array_end[])(void);

int main(void);
void start(void) __attribute__((noreturn));
void report_fault(const uint32_t *frame) __attribute__((noreturn));
void reset(void) __attribute__((naked, noreturn));
void fault(void) __attribute__((naked));
void nmi(void) __attribute__((weak, alias("fault")));  // a port may have a use for it

static const uint32_t kPaint = 0x57ac7a57;
static const uint32_t kGuardBytes = GUARD_BYTES;

#if __ARM_ARCH == 8
#define SET_STACK_LIMIT "ldr r0, =stack_limit\n msr msplim, r0\n"
#else
#define SET_STACK_LIMIT ""
#endif

// The FPU first (B3.2.20: CP10 and CP11), since the compiler may use its registers anywhere; the barriers make it take
// effect. An ARMv8-M knows how far down the stack goes, and faults before it goes further.
void reset(void) {
    __asm volatile(
        SET_STACK_LIMIT
        "ldr r0, =0xE000ED88\n"
        "ldr r1, [r0]\n"
        "orr r1, r1, #0xF00000\n"
        "str r1, [r0]\n"
        "dsb\n"
        "isb\n"
        "b start\n");
}

// The stack is the first thing in RAM: overflowing it meets the guard below instead of eating the arena. The handler,
// for which the guards do not hold, needs some stack itself; where less than 256 bytes are left it starts again from the
// top. r0 points to the frame that the core has pushed.
void fault(void) {
    __asm volatile(
        "mrs r0, msp\n"
        "ldr r1, =stack_limit + 256\n"
        "cmp r0, r1\n"
        "itt lo\n"
        "ldrlo r1, =stack_top\n"
        "msrlo msp, r1\n"
        "b report_fault\n");
}

static void print_field(const char *name, uint32_t value) {
    print(name);
    print_hex(value);
}

// Returns what a fault is: an access below the stack, or one to the first addresses, where nothing is.
static Fault cause_of(const uint32_t *frame, bool in_stack, uint32_t status) {
    uint32_t address = (status & CFSR_MMARVALID) ? SCB_MMFAR : 0xFFFFFFFF;
    if (!in_stack || (status & CFSR_STKOF) || (uint32_t)stack_limit - 1 - address < kGuardBytes) {
        return kStackOverflow;
    }
    return address < kGuardBytes || frame[6] < kGuardBytes ? kNullPointer : kFault;
}

#if __ARM_ARCH == 8
static void print_secure_fault(void) {
    uint32_t status = SFSR;
    if (status != 0) {
        print_field(", SFSR ", status);
    }
    if (status & SFSR_SFARVALID) {
        print_field(", address ", SFAR);
    }
}
#endif

// B1.5.6: an exception pushes r0-r3, r12, lr, pc, xpsr.
void report_fault(const uint32_t *frame) {
    static const char *const kNames[] = {", r0 ", ", r1 ", ", r2 ", ", r3 ", ", r12 "};
    // Where no room was left for a frame, an ARMv8-M pushes none and leaves the pointer at the limit.
    bool in_stack = frame > stack_limit && frame + 8 <= stack_top;
    uint32_t status = SCB_CFSR;
    Fault fault = cause_of(frame, in_stack, status);
    // Of an overflow, the place in the stack: where the core could push no frame, that of the code is lost.
    uint32_t place = fault != kStackOverflow ? frame[6] : (status & CFSR_MMARVALID) ? SCB_MMFAR : (uint32_t)frame;
    post_mortem_fault(fault, place);
    print("\nfailed: ");
    print(post_mortem_fault_name(fault));
    print_field(" at ", place);
    if (in_stack && fault == kStackOverflow) {
        print_field(", pc ", frame[6]);
    }
    if (in_stack) {
        print_field(", lr ", frame[5]);
    }
    print_field(", CFSR ", status);
    print_field(", HFSR ", SCB_HFSR);
    if (status & (CFSR_BFARVALID | CFSR_MMARVALID)) {
        print_field(", address ", (status & CFSR_BFARVALID) ? SCB_BFAR : SCB_MMFAR);
    }
    for (uint32_t i = 0; in_stack && i < sizeof kNames / sizeof *kNames; ++i) {
        print_field(kNames[i], frame[i]);
    }
#if __ARM_ARCH == 8
    print_secure_fault();
#endif
    print_field(", psr ", in_stack ? frame[7] : 0);
    print_field(", sp ", (uint32_t)frame);
    print("\n");
    board_exit(1);
}

typedef void (*Handler)(void);
typedef union {
    uint32_t *stack;
    Handler handler;
} Vector;

// B1.5.3: initial stack pointer, 15 exceptions, interrupts. Only the serial port's is used, so each other one is a fault.
const Vector vectors[16 + BOARD_IRQS] __attribute__((section(".vectors"), used)) = {
    {.stack = stack_top},
    {.handler = reset},
    {.handler = nmi},
    [3 ... 16 + BOARD_UART_IRQ - 1] = {.handler = fault},
    [16 + BOARD_UART_IRQ] = {.handler = board_serial_interrupt},
    [16 + BOARD_UART_IRQ + 1 ... 16 + BOARD_IRQS - 1] = {.handler = fault},
};

#if BOARD_CACHES
// B2.2: what a cache holds is unknown after reset, so it is invalidated, by set and way, before it is enabled.
static void enable_caches(void) {
    ICIALLU = 0;
    CSSELR = 0;  // level 1, data
    barrier();
    uint32_t size = CCSIDR;  // B4.8: sets - 1 in 27:13, ways - 1 in 12:3, log2(words in a line) - 2 in 2:0
    uint32_t sets = ((size >> 13) & 0x7FFF) + 1, ways = ((size >> 3) & 0x3FF) + 1;
    uint32_t line_shift = (size & 7) + 4;
    uint32_t way_shift = ways > 1 ? (uint32_t)__builtin_clz(ways - 1) : 0;
    for (uint32_t set = 0; set < sets; ++set) {
        for (uint32_t way = 0; way < ways; ++way) {
            DCISW = (way << way_shift) | (set << line_shift);
        }
    }
    barrier();
    SCB_CCR |= CCR_IC | CCR_DC;
    barrier();
}
#endif

static void fill(uint32_t *first, const uint32_t *end, uint32_t value) {
    while (first < end) {
        *first++ = value;
    }
}

void start(void) {
    SCB_VTOR = (uint32_t)vectors;  // an STM32F7 boots through the alias of its flash at 0x00200000
#if BOARD_CACHES
    enable_caches();
#endif
    mpu_start();
    // 16 words below this frame stay as they are: fill() may use them.
    fill(stack_limit, (uint32_t *)__builtin_frame_address(0) - 16, kPaint);
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; ++to) {
        *to = *from++;
    }
    fill(bss_start, bss_end, 0);
    fill(arena_start, arena_end, 0);
    for (void (*const *init)(void) = init_array_start; init < init_array_end; ++init) {
        (*init)();
    }
    main();
    board_exit(1);  // it never returns
}

__attribute__((weak)) void restart(void) {
    board_flush();
    SCB_AIRCR = AIRCR_KEY | AIRCR_SYSRESETREQ;
    barrier();
    for (;;) {
    }
}

uint32_t stack_bytes(void) { return (uint32_t)((const char *)stack_top - (const char *)stack_limit); }

uint32_t stack_used_bytes(void) {
    const uint32_t *deepest = stack_limit;
    while (deepest < stack_top && *deepest == kPaint) {
        ++deepest;
    }
    return (uint32_t)((const char *)stack_top - (const char *)deepest);
}

// What libc and the C++ runtime ask of a system.
void *__dso_handle;
void *_sbrk(ptrdiff_t bytes);
int __aeabi_atexit(void *object, void (*destructor)(void *), void *dso);
void __assert_func(const char *file, int line, const char *function, const char *expression)
    __attribute__((noreturn));

// No heap. vsnprintf refers to malloc for formats that nobody uses here; it would get "out of memory".
void *_sbrk(ptrdiff_t bytes) {
    (void)bytes;
    errno = ENOMEM;
    return (void *)-1;  // what sbrk returns on failure
}

// main() never returns to anyone, so destructors of static objects are never registered and --gc-sections drops them.
int __aeabi_atexit(void *object, void (*destructor)(void *), void *dso) {
    (void)object, (void)destructor, (void)dso;
    return 0;
}

// In place of libc's, which brings all of stdio: a library built with assertions calls it.
void __assert_func(const char *file, int line, const char *function, const char *expression) {
    (void)function;
    print("\nfailed: assertion ");
    print(expression);
    print(" in ");
    print(file);
    print(":");
    print_unsigned((uint32_t)line);
    print("\n");
    board_exit(1);
}

void abort(void) {
    print("\nfailed: abort\n");
    board_exit(1);
}
