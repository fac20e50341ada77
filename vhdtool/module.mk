# The command line. Sees the public headers only, and jansson for --json.
vhdtool_SRCS := $(sort $(wildcard vhdtool/*.c))
vhdtool_OBJS := $(vhdtool_SRCS:%.c=$(B)/%.o)
HEADERS += $(sort $(wildcard vhdtool/*.h))

$(vhdtool_OBJS): MODCFLAGS := $(shell $(PKG_CONFIG) --cflags jansson 2>/dev/null) \
	-DVHDKIT_VERSION='"$(VERSION)"' -DLIBEXECDIR='"$(LIBEXECDIR)"' \
	-Icommon -Ivhdfsmap
$(vhdtool_OBJS): libvhdx/version.h

$(B)/bin/vhdtool: $(vhdtool_OBJS) $(B)/libcommon.a $(B)/libvhdx.a
	$(call link,$(shell $(PKG_CONFIG) --libs jansson 2>/dev/null))

ifeq ($(vhdtool_SRCS),)
else ifeq ($(call have_pkg,jansson),yes)
PROGRAMS += $(B)/bin/vhdtool
else
$(call left_out,vhdtool is left out: jansson is missing (libjansson-dev))
endif
