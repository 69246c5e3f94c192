# SPDX-License-Identifier: GPL-2.0 OR MIT
# A program on libdune: NAME and SRCS come from the Makefile that includes this,
# and CHECK, if it has a check of its own.
#
#	make -C apps/NAME BUILD=/absolute/build/dir [all check install]

BUILD	?= $(abspath ../../build)
PREFIX	?= /usr/local
OUT	:= $(BUILD)/apps
OBJ	:= $(OUT)/obj/$(NAME)
LIB	:= $(BUILD)/libdune

CHECK	?= ../common/check

CC	?= gcc
OPT	?= -O2 -g
CFLAGS_ALL := -std=gnu11 $(OPT) -Wall -Wextra -Werror -D_GNU_SOURCE -pthread \
	-I../common -I../../libdune -I../../include -I../../tools/vm -MMD -MP $(CFLAGS)
OBJS	:= $(patsubst %.c,$(OBJ)/%.o,$(SRCS))

vpath %.c ../common

all: $(OUT)/$(NAME)

$(OBJ):
	mkdir -p $@

$(OBJ)/%.o: %.c | $(OBJ)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(LIB)/libdune.so:
	$(MAKE) -C ../../libdune BUILD=$(BUILD)

# Not part of what is linked: libdune.so may be rebuilt without us.
$(OUT)/$(NAME): $(OBJS) | $(LIB)/libdune.so
	$(CC) -pthread $(LDFLAGS) -o $@ $(OBJS) -L$(LIB) -ldune -Wl,-rpath,'$$ORIGIN/../libdune'

check: all
	$(CHECK) $(OUT)/$(NAME)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(OUT)/$(NAME) $(DESTDIR)$(PREFIX)/bin/$(NAME)

clean:
	rm -rf $(OBJ) $(OUT)/$(NAME)

-include $(OBJS:.o=.d)

.PHONY: all check install clean
