# VMBus without KVM: guest memory, rings, channels, the server. Uses the base
# of the library (L0) and nothing else of it.
vmbus_SRCS := $(sort $(wildcard vmbus/*.c))
vmbus_OBJS := $(vmbus_SRCS:%.c=$(B)/%.o)
HEADERS += $(sort $(wildcard vmbus/*.h))
