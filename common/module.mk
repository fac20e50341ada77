# What the programs have in common: how they talk, to whom, and where. An archive:
# each takes what it needs; usock wants err.o beside the library.
common_OBJS := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard common/*.c)))
HEADERS += $(sort $(wildcard common/*.h))

$(B)/libcommon.a: $(common_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
