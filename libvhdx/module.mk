# The engine. Every .c here is part of it; the public headers are few.
#
# The shared library exports what libvhdx.map names. The archive is one object
# with all hidden symbols made local, so that nothing of ours can clash with a
# program's own names. libvhdx-test.a is the same code with everything visible.
libvhdx_SRCS := $(sort $(wildcard libvhdx/*.c))
libvhdx_OBJS := $(libvhdx_SRCS:%.c=$(B)/%.o)
libvhdx_PUBLIC := libvhdx/vhdx.h libvhdx/vhdx_blk.h
libvhdx_PUBLIC += libvhdx/vhdx_edit.h
libvhdx_PUBLIC += libvhdx/vhdx_chain.h
HEADERS += $(sort $(wildcard libvhdx/*.h))

# Partition tables, for programs to link beside the library, or without it.
parttab_OBJS := $(addprefix $(B)/libvhdx/,err.o mem.o parttab.o)

VERSION := $(shell sed -n 's/.*VHDKIT_VERSION "\(.*\)"/\1/p' libvhdx/version.h)
libvhdx_ABI := 0
libvhdx_SONAME := libvhdx.so.$(libvhdx_ABI)
libvhdx_REAL := libvhdx.so.$(VERSION)
libvhdx_LIBS := $(B)/libvhdx.a

# libFuzzer's coverage counters are for programs only.
ifneq ($(VARIANT),fuzz)
libvhdx_LIBS += $(B)/$(libvhdx_REAL)
endif

$(B)/libvhdx-test.a: $(libvhdx_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libvhdx.a: $(libvhdx_OBJS)
	$(call say,AR,$@)
	$(Q)$(LD) -r -o $(B)/libvhdx-all.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(B)/libvhdx-all.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(B)/libvhdx-all.o

$(B)/$(libvhdx_REAL): $(libvhdx_OBJS) libvhdx/libvhdx.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -shared -o $@ $(libvhdx_OBJS) \
		-Wl,-soname,$(libvhdx_SONAME) \
		-Wl,--version-script,libvhdx/libvhdx.map $(ALL_LDFLAGS)
