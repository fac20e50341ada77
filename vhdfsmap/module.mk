# The helper of `vhdtool compact --fs`: the file system libraries, in a program
# of their own (main.c says why).
vhdfsmap_PKGS := ext2fs libntfs-3g blkid libseccomp
vhdfsmap_SRCS := $(sort $(wildcard vhdfsmap/*.c))
vhdfsmap_OBJS := $(vhdfsmap_SRCS:%.c=$(B)/%.o)
HEADERS += vhdfsmap/fsmap_proto.h

# The libraries' headers are not written for our warnings.
$(vhdfsmap_OBJS): MODCFLAGS := -Wno-conversion -Wno-sign-conversion \
	-Wno-shadow -Wno-pointer-arith \
	$(shell $(PKG_CONFIG) --cflags $(vhdfsmap_PKGS) 2>/dev/null)

$(B)/bin/vhdfsmap: $(vhdfsmap_OBJS) $(parttab_OBJS)
	$(call link,$(shell $(PKG_CONFIG) --libs $(vhdfsmap_PKGS) 2>/dev/null))

vhdfsmap_LACKS := $(strip $(foreach p,$(vhdfsmap_PKGS),$(if \
	$(call have_pkg,$(p)),,$(p))))
ifeq ($(vhdfsmap_LACKS),)
HELPERS += $(B)/bin/vhdfsmap
else
$(call left_out,vhdfsmap (compact --fs) is left out: missing $(vhdfsmap_LACKS))
endif
