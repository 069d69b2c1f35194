// MPS2 board with FPGA image AN500, a Cortex-M7, as QEMU emulates it (Arm DAI0500, QEMU docs/system/arm/mps2).
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".

#define BOARD_MCU "an500"
#define BOARD_USUAL 1
#define BOARD_CPU "cortex-m7"
#define BOARD_FPU "fpv5-sp-d16"
#define BOARD_PORT "mps2"
#define BOARD_IRQS 32 // DAI0500, interrupts
#define BOARD_CACHES 1  // QEMU accepts the cache maintenance of startup.c and models no cache

// Memory, DAI0500, memory map: the two SSRAM of 4 MiB.
#define BOARD_FLASH_ORIGIN 0x00000000
#define BOARD_FLASH_BYTES (4 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x20000000
#define BOARD_RAM_BYTES (4 * 1024 * 1024)

#define BOARD_CLOCK_HZ 25000000

// Serial: CMSDK UART 0. QEMU ignores the rate, the register needs one.
#define BOARD_UART 0
#define BOARD_UART_NAME "UART0"
#define BOARD_UART_BASE 0x40004000
#define BOARD_UART_BAUD 115200
#define BOARD_UART_IRQ 0  // its receive interrupt
#define BOARD_WATCHDOG_BASE 0x40008000
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. CMSDK timer 0 ticks every 40 ns; with shift=7 an
// instruction takes 2^7 = 128 ns of virtual time, so 16 ticks are 5 instructions: instructions, not cycles of an M7.
#define BOARD_TIMER_BASE 0x40000000
#define BOARD_COUNTER "instructions"
#define BOARD_COUNTS 5
#define BOARD_TICKS 16

#define BOARD_FLASH_TOOLS ""
#define BOARD_EMULATOR "-M mps2-an500 -icount shift=7,sleep=on -semihosting-config enable=on,target=native"
