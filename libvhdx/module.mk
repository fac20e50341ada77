# The engine. Every .c here is part of it; the public headers are two.
libvhdx_SRCS := $(sort $(wildcard libvhdx/*.c))
libvhdx_PUBLIC := libvhdx/vhdx.h libvhdx/vhdx_blk.h
libvhdx_OBJS := $(libvhdx_SRCS:%.c=$(B)/%.o)

$(B)/libvhdx-test.a: $(libvhdx_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
