# The command line. Sees the public headers only, and jansson for --json.
vhdtool_SRCS := $(sort $(wildcard vhdtool/*.c))
vhdtool_OBJS := $(vhdtool_SRCS:%.c=$(B)/%.o)
$(vhdtool_OBJS): MODCFLAGS := $(JANSSON_CFLAGS)

$(B)/bin/vhdtool: $(vhdtool_OBJS) $(B)/libvhdx-test.a
	$(call link,$(JANSSON_LIBS))
