# `make flash`: how each tool is called and what it needs. The board's header lists those that know the board, the usual one
# first; FLASH=... chooses another one of them. Makefile includes this.

ORIGIN := $(call board,BOARD_FLASH_ORIGIN)
CHIP := $(call board,BOARD_CHIP)
DRIVE_NAME := $(call board,BOARD_UF2_DRIVE)
UF2_DRIVE ?= $(firstword $(wildcard $(foreach place,/media/$(USER) /run/media/$(USER) /media /Volumes,$(place)/$(DRIVE_NAME))))

GET_openocd := `apt install openocd`, or https://openocd.org
GET_st-flash := `apt install stlink-tools`, or https://github.com/stlink-org/stlink
GET_probe-rs := https://probe.rs/docs/getting-started/installation
GET_picotool := `apt install picotool`, or https://github.com/raspberrypi/picotool/releases

CALL_openocd = $(OPENOCD) $(addprefix -f ,$(call board,BOARD_DEBUGGER)) -c 'program $(ELF) verify reset exit'
CALL_st-flash = $(ST_FLASH) --reset write $(FLASH_FILE) $(ORIGIN)
CALL_probe-rs = $(PROBE_RS) download --chip $(CHIP) $(ELF) && $(PROBE_RS) reset --chip $(CHIP)
CALL_picotool = $(PICOTOOL) load -v -x $(ELF)
CALL_uf2 = cp $(FLASH_FILE) '$(UF2_DRIVE)'
# The file besides the ELF that a tool takes.
FLASH_FILE = $(if $(filter st-flash,$(FLASH)),$(OUT)/firmware.bin)$(if $(filter uf2,$(FLASH)),$(OUT)/firmware.uf2)
FLASH_COMMAND = $(CALL_$(FLASH))
PROGRAM = $(firstword $(FLASH_COMMAND))

ifeq ($(filter $(FLASH),$(FLASH_TOOLS)),)
$(error FLASH is '$(FLASH)'; $(BOARD) is flashed by: $(FLASH_TOOLS))
endif
ifeq ($(FLASH),uf2)
ifeq ($(UF2_DRIVE),)
$(error no drive $(DRIVE_NAME) is mounted: hold BOOTSEL while you plug the board in, or set UF2_DRIVE to the drive's folder)
endif
ifeq ($(wildcard $(UF2_DRIVE)/INFO_UF2.TXT),)
$(error UF2_DRIVE is '$(UF2_DRIVE)', which has no INFO_UF2.TXT, as the drive of a board has; set it to that drive's folder)
endif
else ifeq ($(shell command -v $(PROGRAM) 2>/dev/null),)
$(error $(PROGRAM) is not installed: $(GET_$(FLASH)); or set FLASH to another of: $(filter-out $(FLASH),$(FLASH_TOOLS)))
endif
