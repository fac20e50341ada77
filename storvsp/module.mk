# The storage VSP. Sees channels (vmbus/chan.h), vhdx_blk.h, and the base (L0).
storvsp_SRCS := $(sort $(wildcard storvsp/*.c))
storvsp_OBJS := $(storvsp_SRCS:%.c=$(B)/%.o)
$(storvsp_OBJS): MODCFLAGS := -Ivmbus
HEADERS += $(sort $(wildcard storvsp/*.h))
