// MPS2 board with FPGA image AN505, a Cortex-M33, as QEMU emulates it (Arm DAI0505, QEMU docs/system/arm/mps2).
//
// A board is this one header. C, the linker script, the Makefile and Python (tinytrain/deploy/boards.py) read it, so it
// holds only lines `#define BOARD_NAME value`: an integer expression without suffixes, a 'character' or a "string".

#define BOARD_MCU "an505"
#define BOARD_USUAL 1
#define BOARD_CPU "cortex-m33"
#define BOARD_FPU "fpv5-sp-d16"
#define BOARD_PORT "mps2"
#define BOARD_IRQS 124 // DAI0505, interrupts: 32 of the subsystem, 92 of the FPGA
#define BOARD_CACHES 0

// The core starts in Secure state and stays there. Everything is Secure as a reset leaves it, so nothing has to be set up;
// these are the Secure addresses, those with bit 28. Memory, DAI0505, memory map: SSRAM1 of 4 MiB, and SSRAM2 and SSRAM3
// of 2 MiB each, which follow each other.
#define BOARD_FLASH_ORIGIN 0x10000000
#define BOARD_FLASH_BYTES (4 * 1024 * 1024)
#define BOARD_RAM_ORIGIN 0x38000000
#define BOARD_RAM_BYTES (4 * 1024 * 1024)

#define BOARD_CLOCK_HZ 20000000

// Serial: CMSDK UART 0. QEMU ignores the rate, the register needs one.
#define BOARD_UART 0
#define BOARD_UART_NAME "UART0"
#define BOARD_UART_BASE 0x50200000
#define BOARD_UART_BAUD 115200
#define BOARD_UART_IRQ 32  // its receive interrupt
#define BOARD_WATCHDOG_BASE 0x50081000  // the Secure one
#define BOARD_WATCHDOG_MS 4000

// What the counter counts: `ticks * BOARD_COUNTS / BOARD_TICKS`. CMSDK timer 0 ticks every 50 ns; with shift=7 an
// instruction takes 2^7 = 128 ns of virtual time, so 64 ticks are 25 instructions: instructions, not cycles of an M33.
#define BOARD_TIMER_BASE 0x50000000
#define BOARD_COUNTER "instructions"
#define BOARD_COUNTS 25
#define BOARD_TICKS 64

#define BOARD_FLASH_TOOLS ""
#define BOARD_EMULATOR "-M mps2-an505 -icount shift=7,sleep=on -semihosting-config enable=on,target=native"
