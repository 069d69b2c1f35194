// From reset to main() on an emulated Cortex-M4, M7 or M33, whose loader has filled the memory.

#include <stdint.h>
#include <stdlib.h>

extern uint32_t _stack;
extern void initialise_monitor_handles(void);
int main(void);
void reset(void);

void reset(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;  // CPACR: the FPU may be used
    __asm__ volatile("dsb\n\tisb");
    initialise_monitor_handles();
    exit(main());
}

static void fault(void) { _Exit(99); }

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &_stack, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
