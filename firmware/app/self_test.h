// Runs the model on its golden input, compares, times it, and says so, one `key: value` a line; README.md lists them.
#pragma once

// The last line is `done`, or `failed: reason`. Returns whether all is well.
bool SelfTest(const char* clock_error);
