// postbus: the one header that programs need. Nodes with ids, connected over TCP, exchanging ordered
// MessagePack messages; everything a program learns arrives as a typed message. Begin at runtime.hpp.
#pragma once

#include "postbus/actors/close_guard.hpp"
#include "postbus/actors/inbox.hpp"
#include "postbus/actors/messages.hpp"
#include "postbus/actors/node.hpp"
#include "postbus/actors/runtime.hpp"
#include "postbus/actors/typed.hpp"
#include "postbus/bus/decode.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/limits.hpp"
#include "postbus/bus/node_id.hpp"
#include "postbus/bus/subscription_options.hpp"
#include "postbus/codecs/message_type.hpp"
