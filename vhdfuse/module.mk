# A virtual disk mounted as plain files. Sees the public headers only, the
# partition reader, jansson for JSON, and libfuse 3.
vhdfuse_PKGS := fuse3 jansson
vhdfuse_SRCS := $(sort $(wildcard vhdfuse/*.c))
vhdfuse_OBJS := $(vhdfuse_SRCS:%.c=$(B)/%.o)

vhdfuse_CPPFLAGS := $(shell $(PKG_CONFIG) --cflags $(vhdfuse_PKGS) 2>/dev/null)

$(vhdfuse_OBJS): MODCFLAGS := -Icommon -DVHDKIT_VERSION='"$(VERSION)"' \
	$(vhdfuse_CPPFLAGS)
$(vhdfuse_OBJS): libvhdx/version.h

$(B)/bin/vhdfuse: $(vhdfuse_OBJS) $(parttab_OBJS) $(B)/libcommon.a \
		$(B)/libvhdx.a
	$(call link,$(shell $(PKG_CONFIG) --libs $(vhdfuse_PKGS) 2>/dev/null))

vhdfuse_LACKS := $(strip $(foreach p,$(vhdfuse_PKGS),$(if \
	$(call have_pkg,$(p)),,$(p))))
ifeq ($(vhdfuse_LACKS),)
PROGRAMS += $(B)/bin/vhdfuse
HEADERS += $(sort $(wildcard vhdfuse/*.h))
else
$(call left_out,vhdfuse is left out: missing $(vhdfuse_LACKS))
endif
