// From reset to an endless loop that answers what arrives on the serial port: frames to binary_protocol, all else to
// text_protocol. PROTOCOL.md tells what they understand.

#include "board.h"
#include "binary_protocol.h"
#include "cobs_framing.h"
#include "inference.h"
#include "post_mortem.h"
#include "serial.h"
#include "text_protocol.h"
#include "ticks.h"

namespace {

void Receive(uint8_t byte) {
  if (byte == 0 || cobs_framing::IsOpen()) {
    text_protocol::Forget();
    binary_protocol::Receive(byte);
  } else {
    text_protocol::Receive(static_cast<char>(byte));
  }
}

}  // namespace

int main() {
  const char* clock_error = board_init();
  post_mortem_read(board_reset_by_watchdog());
  board_watchdog_start();
  if (!post_mortem_in_start()) inference::Start();
  post_mortem_idle();
  text_protocol::Boot(clock_error);
  for (;;) {
    board_watchdog_feed();
    ticks_now();
    const int byte = serial_read();
    if (byte >= 0) {
      Receive(static_cast<uint8_t>(byte));
    } else {
      binary_protocol::Idle();
      serial_sleep();
    }
  }
}
