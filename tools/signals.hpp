// signals: Ctrl-C and SIGTERM as something to look at. The first asks the program to come to an end
// in order, the second ends it at once. SIGPIPE is ignored: a write that fails says so itself.
#pragma once

namespace tool::signals {

/// From now on a signal ends the program at once, as long as there is nothing to drain.
void install();

/// From now on the first signal only asks to stop, and says so on stderr unless told not to.
void drain_on_first(bool aloud = true) noexcept;

/// True once somebody has asked to stop.
[[nodiscard]] bool stop_asked() noexcept;

/// Readable once somebody has asked to stop: for poll(2).
[[nodiscard]] int stop_descriptor() noexcept;

} // namespace tool::signals
