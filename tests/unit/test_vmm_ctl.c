/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base.h"
#include "client.h"
#include "console.h"
#include "ctl.h"
#include "err.h"
#include "errand.h"
#include "evloop.h"
#include "say.h"
#include "t.h"
#include "term.h"
#include "usock.h"

/* ---- a bus thread with a control socket --------------------------------- */

static struct evloop *loop;
static struct errands *errands;
static struct ctl *ctl;
static pthread_t bus_thread;
static char path[600];
static struct ev stop_ev;
static int stop_fds[2];
static struct ctl_call *kept; /* of "keep", answered by "free" */

struct slow {
	struct errand errand;
	struct ctl_call *call;
	int fd;
};

static void slow_work(struct errand *w)
{
	char c;
	T_TRUE(read(container_of(w, struct slow, errand)->fd, &c, 1) == 1);
}

static void slow_done(struct errand *w)
{
	struct slow *s = container_of(w, struct slow, errand);
	ctl_result(s->call, json_object());
	free(s);
}

static int slow_fds[2];

static void start_slow(struct ctl_call *call)
{
	struct vhdx_err err;
	struct slow *s = calloc(1, sizeof(*s));
	s->errand.work = slow_work;
	s->errand.done = slow_done;
	s->call = call;
	s->fd = slow_fds[0];
	if (!errand_start(errands, &s->errand, &err))
		return;
	free(s);
	ctl_error(call, &err);
}

static void order(void *arg, const json_t *request, struct ctl_call *call)
{
	const char *name = json_string_value(json_object_get(request,
							     "command"));
	struct vhdx_err err;
	(void)arg;
	if (strcmp(name, "echo") == 0) {
		ctl_result(call, json_deep_copy(json_object_get(request,
								"what")));
	} else if (strcmp(name, "keep") == 0) {
		kept = call;
	} else if (strcmp(name, "free") == 0) {
		bool was = kept != NULL;
		if (was)
			ctl_result(kept, json_string("late"));
		kept = NULL;
		ctl_result(call, json_boolean(was));
	} else if (strcmp(name, "slow") == 0) {
		start_slow(call);
	} else {
		err_set(&err, VHDX_E_UNSUPPORTED, "no \xff such");
		ctl_error(call, &err);
	}
}

static void on_stop(void *arg, uint32_t events)
{
	(void)events;
	evloop_stop(arg);
}

static void *turn(void *arg)
{
	evloop_run(arg);
	return NULL;
}

static void start(void)
{
	pthread_attr_t small;
	T_OK(evloop_create(&loop, &t_err));
	T_OK(errands_create(loop, &errands, &t_err));
	snprintf(path, sizeof(path), "%s/ctl", t_tmpdir());
	T_OK(ctl_open(path, loop, order, NULL, &ctl, &t_err));
	T_TRUE(pipe(stop_fds) == 0 && pipe(slow_fds) == 0);
	stop_ev = (struct ev){ stop_fds[0], on_stop, loop };
	T_OK(evloop_add(loop, &stop_ev, EPOLLIN, &t_err));
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	T_TRUE(pthread_create(&bus_thread, &small, turn, loop) == 0);
	pthread_attr_destroy(&small);
}

static void stop(void)
{
	T_TRUE(write(stop_fds[1], "", 1) == 1);
	pthread_join(bus_thread, NULL);
	evloop_del(loop, &stop_ev);
	errands_destroy(errands);
	ctl_close(ctl);
	evloop_destroy(loop);
	for (int i = 0; i < 2; i++) {
		close(stop_fds[i]);
		close(slow_fds[i]);
	}
	T_TRUE(access(path, F_OK) != 0);
}

static FILE *join(void)
{
	int fd;
	T_OK(usock_connect(path, &fd, &t_err));
	FILE *f = fdopen(fd, "r+");
	T_TRUE(f != NULL);
	return f;
}

static void tell(FILE *f, const char *line)
{
	T_TRUE(fprintf(f, "%s\n", line) > 0 && fflush(f) == 0);
}

/* The next answer contains `part`; NULL: there is none, it hung up. */
static void expect(FILE *f, const char *part)
{
	char line[4096] = "";
	char *got = fgets(line, sizeof(line), f);
	if (part && got && !strstr(line, part))
		printf("got %s, want %s\n", line, part);
	T_TRUE(part ? got && strstr(line, part) : !got);
}

static bool says(FILE *f, const char *part)
{
	char line[4096];
	T_TRUE(fgets(line, sizeof(line), f) != NULL);
	return strstr(line, part) != NULL;
}

static void ask(FILE *f, const char *line, const char *part)
{
	tell(f, line);
	expect(f, part);
}

/* ---- the socket ---------------------------------------------------------- */

static void an_answer_has_the_id_of_its_request(void)
{
	start();
	FILE *f = join();
	ask(f, "{\"command\":\"echo\",\"what\":[1,2],\"id\":7}",
	    "{\"result\":[1,2],\"id\":7}");
	ask(f, "{\"command\":\"echo\",\"what\":1,\"id\":\"a\"}",
	    "\"id\":\"a\"");
	ask(f, "{\"command\":\"echo\",\"what\":1,\"id\":[]}",
	    "{\"result\":1}");
	fclose(f);
	stop();
}

static void only_the_owner_may_connect(void)
{
	struct stat st;
	start();
	T_TRUE(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	stop();
}

static void what_is_no_request_is_told_so_and_nothing_more(void)
{
	char deep[64] = "";
	memset(deep, '[', 40);
	start();
	FILE *f = join();
	ask(f, "", "\"INVAL\"");
	ask(f, "{\"command\":", "\"INVAL\"");
	ask(f, "[]", "one JSON object");
	ask(f, "{\"command\":3}", "string \\\"command\\\"");
	ask(f, deep, "\"INVAL\"");
	ask(f, "\xff\xfe", "\"INVAL\"");
	ask(f, "{\"command\":\"fly\"}", "\"UNSUPPORTED\"");
	ask(f, "{\"command\":\"echo\",\"what\":\"ok\"}", "\"ok\"");
	fclose(f);
	stop();
}

static void a_line_that_is_too_long_is_hung_up_on(void)
{
	char *line = malloc(CTL_LINE_LEN);
	start();
	FILE *f = join();
	memset(line, ' ', CTL_LINE_LEN);
	T_TRUE(send(fileno(f), line, CTL_LINE_LEN, MSG_NOSIGNAL) > 0);
	expect(f, NULL);
	fclose(f);
	free(line);
	stop();
}

static void requests_in_one_write_are_answered_in_order(void)
{
	start();
	FILE *f = join();
	tell(f, "{\"command\":\"echo\",\"what\":1}\n"
		"{\"command\":\"slow\"}\n{\"command\":\"echo\",\"what\":3}");
	expect(f, "{\"result\":1}");
	T_TRUE(write(slow_fds[1], "", 1) == 1);
	expect(f, "{\"result\":{}}");
	expect(f, "{\"result\":3}");
	fclose(f);
	stop();
}

/* As many as fit, all of them answered within one call. */
static void many_short_requests_need_no_deep_stack(void)
{
	static const char one[] = "{\"command\":\"echo\",\"what\":1}\n";
	unsigned cnt = CTL_LINE_LEN / (sizeof(one) - 1);
	char *all = calloc(cnt, sizeof(one));
	for (unsigned i = 0; i < cnt; i++)
		strcat(all, one);
	start();
	FILE *f = join();
	T_TRUE(send(fileno(f), all, strlen(all), MSG_NOSIGNAL) > 0);
	for (unsigned i = 0; i < cnt; i++)
		expect(f, "{\"result\":1}");
	fclose(f);
	free(all);
	stop();
}

static void others_are_answered_while_one_waits(void)
{
	start();
	FILE *f = join(), *g = join();
	tell(f, "{\"command\":\"keep\",\"id\":1}");
	do
		tell(g, "{\"command\":\"free\"}");
	while (!says(g, "true")); /* until it had come there */
	expect(f, "{\"result\":\"late\",\"id\":1}");
	fclose(f);
	fclose(g);
	stop();
}

static void who_hangs_up_early_leaves_his_order_to_its_end(void)
{
	start();
	FILE *f = join();
	tell(f, "{\"command\":\"slow\"}");
	fclose(f);
	f = join();
	ask(f, "{\"command\":\"echo\",\"what\":1}", "{\"result\":1}");
	T_TRUE(write(slow_fds[1], "", 1) == 1);
	ask(f, "{\"command\":\"echo\",\"what\":2}", "{\"result\":2}");
	fclose(f);
	stop();
}

/* Shut for writing, as by `echo ... | socat`. */
static void who_has_said_all_still_gets_his_answer(void)
{
	start();
	FILE *f = join();
	tell(f, "{\"command\":\"slow\"}");
	T_TRUE(shutdown(fileno(f), SHUT_WR) == 0);
	T_TRUE(write(slow_fds[1], "", 1) == 1);
	expect(f, "{\"result\":{}}");
	expect(f, NULL);
	fclose(f);
	stop();
}

static void a_ninth_client_is_hung_up_on(void)
{
	FILE *f[CTL_CLIENTS + 1];
	start();
	for (unsigned i = 0; i < CTL_CLIENTS; i++) {
		f[i] = join();
		ask(f[i], "{\"command\":\"echo\",\"what\":1}", "1");
	}
	f[CTL_CLIENTS] = join();
	expect(f[CTL_CLIENTS], NULL);
	for (unsigned i = 0; i <= CTL_CLIENTS; i++)
		fclose(f[i]);
	stop();
}

static void a_socket_in_use_is_left_alone_a_dead_one_is_not(void)
{
	struct ctl *second;
	int fd;
	start();
	T_FAILS(ctl_open(path, loop, order, NULL, &second, &t_err), VHDX_E_BUSY,
		"another process");
	FILE *f = join();
	ask(f, "{\"command\":\"echo\",\"what\":1}", "1");
	fclose(f);
	stop();
	T_OK(usock_listen(path, &fd, &t_err));
	close(fd); /* as if killed */
	T_FAILS(usock_connect(path, &fd, &t_err), VHDX_E_NOTFOUND, "nobody");
	start();
	stop();
}

/* ---- the client ---------------------------------------------------------- */

static char text[2048];

/* vmm ctl SOCKET WORD...; the request is in text */
static int request(const char *const *words)
{
	char *argv[8];
	int argc = 0;
	json_t *req;
	for (; words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	int rc = client_request(argc, argv, &req, &t_err);
	if (rc)
		return rc;
	size_t n = json_dumpb(req, text, sizeof(text) - 1,
			      JSON_COMPACT | JSON_SORT_KEYS);
	text[n] = '\0';
	json_decref(req);
	return 0;
}
#define REQUEST(...) request((const char *const []){ __VA_ARGS__, NULL })

static void orders_become_requests(void)
{
	T_OK(REQUEST("pause"));
	T_TRUE(strcmp(text, "{\"command\":\"pause\"}") == 0);
	T_OK(REQUEST("remove-disk", "2:5"));
	T_TRUE(strstr(text, "\"controller\":2,\"lun\":5"));
	T_OK(REQUEST("resume-disk", "7"));
	T_TRUE(strstr(text, "\"controller\":0,\"lun\":7"));
	T_OK(REQUEST("resize-disk", "0", "2G", "--shrink"));
	T_TRUE(strstr(text, "\"shrink\":true,\"size\":2147483648"));
	T_OK(REQUEST("add-disk", "/dev/null,ro,lun=3"));
	T_TRUE(strstr(text, "\"lun\":3,"));
	T_TRUE(strstr(text, "\"path\":\"/dev/null\",\"ro\":true"));
	T_TRUE(!strstr(text, "\"controller\""));
	T_OK(REQUEST("remove-disk", "/dev/../dev/null"));
	T_TRUE(strstr(text, "\"path\":\"/dev/null\""));
}

/* 2^32 is not LUN 0, which would be removed. */
static void a_number_that_is_too_large_is_not_another(void)
{
	T_OK(REQUEST("remove-disk", "4294967296:4294967297"));
	T_TRUE(strstr(text, "\"controller\":4294967296,\"lun\":4294967297"));
	T_OK(REQUEST("remove-disk", "99999999999999999999999"));
	T_TRUE(strstr(text, "\"lun\":9223372036854775807"));
}

static void a_wrong_order_is_refused_before_it_is_sent(void)
{
	T_FAILS(REQUEST("fly"), VHDX_E_INVAL, "fly");
	T_FAILS(REQUEST("pause", "now"), VHDX_E_INVAL, "usage");
	T_FAILS(REQUEST("add-disk"), VHDX_E_INVAL, "add-disk DISK");
	T_FAILS(REQUEST("add-disk", "/dev/null,lun=99"), VHDX_E_INVAL, "lun");
	T_FAILS(REQUEST("add-disk", "/no/such"), VHDX_E_NOTFOUND, "/no/such");
	T_FAILS(REQUEST("resize-disk", "0", "big"), VHDX_E_INVAL, "big");
	T_FAILS(REQUEST("resize-disk", "0", "1G", "-f"), VHDX_E_INVAL, "-f");
	T_FAILS(REQUEST("remove-disk", "1:"), VHDX_E_NOTFOUND, "1:");
}

static void codes_have_the_same_exit_status_over_there(void)
{
	for (int code = VHDX_OK; code <= VHDX_E_PERM; code++)
		T_EQ_U64(say_code_of(vhdx_code_name(code)), code);
	T_EQ_U64(say_exit_status(VHDX_E_NOTFOUND), 3);
	T_EQ_U64(say_exit_status(VHDX_E_BUSY), 4);
	T_EQ_U64(say_exit_status(VHDX_E_NOSPC), 5);
	T_EQ_U64(say_exit_status(VHDX_E_CORRUPT), 6);
	T_EQ_U64(say_exit_status(say_code_of("NEW ONE")), 1);
	T_EQ_U64(say_exit_status(-5), 1);
}

/* ---- the console --------------------------------------------------------- */

static void filter(struct term_keys *k, const char *typed, const char *want)
{
	char buf[64];
	size_t len = strlen(typed);
	memcpy(buf, typed, len);
	len = term_filter(k, buf, len);
	T_EQ_U64(len, strlen(want));
	T_TRUE(memcmp(buf, want, len) == 0);
}

static void ctrl_a_is_ours_and_all_else_the_guests(void)
{
	struct term_keys k = { .quit = false };
	filter(&k, "ls -l\r\x03\x1a", "ls -l\r\x03\x1a");
	filter(&k, "a\x01\x01" "b", "a\x01" "b");
	filter(&k, "x\x01", "x");
	T_TRUE(!k.quit);
	filter(&k, "zx", "x");
	filter(&k, "\x01", "");
	filter(&k, "xrest", "");
	T_TRUE(k.quit);
}

/* On a terminal of its own; says so when it has made it raw, and ends as told
 * to: 'e' exits, another letter aborts. */
static pid_t raw_child(int slave, int say, int listen)
{
	char how = 0;
	fflush(NULL); /* or it is said twice */
	pid_t pid = fork();
	if (pid)
		return pid;
	setsid();
	if (ioctl(slave, TIOCSCTTY, 0) != 0 || dup2(slave, 0) != 0)
		_exit(9);
	term_raw();
	if (write(say, "", 1) != 1 || read(listen, &how, 1) != 1)
		_exit(9);
	if (how == 'e')
		exit(0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	abort();
}

static bool echoes(int fd)
{
	struct termios t;
	T_TRUE(tcgetattr(fd, &t) == 0);
	return (t.c_lflag & ECHO) && (t.c_lflag & ICANON);
}

static void raw_until(char how)
{
	int up[2], down[2], status;
	char c, name[64];
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	T_TRUE(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	T_TRUE(ptsname_r(master, name, sizeof(name)) == 0);
	int slave = open(name, O_RDWR | O_NOCTTY);
	T_TRUE(slave >= 0 && pipe(up) == 0 && pipe(down) == 0);
	T_TRUE(echoes(slave));
	pid_t pid = raw_child(slave, up[1], down[0]);
	T_TRUE(read(up[0], &c, 1) == 1);
	T_TRUE(!echoes(slave));
	T_TRUE(write(down[1], &how, 1) == 1);
	T_TRUE(waitpid(pid, &status, 0) == pid);
	T_TRUE(how == 'e' ? status == 0 : WTERMSIG(status) == SIGABRT);
	T_TRUE(echoes(slave));
	int fds[] = { up[0], up[1], down[0], down[1], slave, master };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void the_terminal_is_as_it_was_after_an_exit(void)
{
	raw_until('e');
}

static void the_terminal_is_as_it_was_after_a_crash(void)
{
	raw_until('a');
}

static void not_called(void *arg)
{
	(void)arg;
	T_TRUE(false);
}

/* A round of the loop, for what is ready now. */
static void turn_once(void)
{
	T_TRUE(write(stop_fds[1], "", 1) == 1);
	stop_ev = (struct ev){ stop_fds[0], on_stop, loop };
	T_OK(evloop_add(loop, &stop_ev, EPOLLIN, &t_err));
	evloop_run(loop);
	evloop_del(loop, &stop_ev);
	char c;
	T_TRUE(read(stop_fds[0], &c, 1) == 1);
}

static struct console *con;

static void open_console(void)
{
	char how[700];
	T_OK(evloop_create(&loop, &t_err));
	T_TRUE(pipe(stop_fds) == 0);
	snprintf(path, sizeof(path), "%s/con", t_tmpdir());
	snprintf(how, sizeof(how), "unix:%s", path);
	T_OK(console_open(how, loop, not_called, NULL, &con, &t_err));
	T_TRUE(strcmp(console_name(con), how) == 0);
}

static void close_console(void)
{
	console_close(con);
	evloop_destroy(loop);
	close(stop_fds[0]);
	close(stop_fds[1]);
	T_TRUE(access(path, F_OK) != 0);
}

/* A reader, non-blocking once it is connected. */
static int reader(void)
{
	int fd;
	T_OK(usock_connect(path, &fd, &t_err));
	return fd;
}

/* Reads len bytes, turning the loop as long as they are not there. */
static void get(int fd, char *buf, size_t len)
{
	for (size_t n = 0; n < len;) {
		ssize_t got = recv(fd, buf + n, len - n, MSG_DONTWAIT);
		T_TRUE(got > 0 || (got < 0 && errno == EAGAIN));
		if (got > 0)
			n += (size_t)got;
		else
			turn_once();
	}
}

static void a_console_keeps_the_last_of_what_nobody_reads(void)
{
	char line[17], want[17];
	unsigned cnt = 3 * CONSOLE_KEPT / 16;
	open_console();
	for (unsigned i = 0; i < cnt;) {
		snprintf(line, sizeof(line), "line %09u\r\n", i);
		if (write(console_out_fd(con), line, 16) == 16)
			i++;
		else
			turn_once();
	}
	for (int i = 0; i < 64; i++)
		turn_once();
	int fd = reader();
	get(fd, line, 16);
	snprintf(want, sizeof(want), "line %09u\r\n",
		 cnt - CONSOLE_KEPT / 16);
	T_TRUE(memcmp(line, want, 16) == 0);
	close(fd);
	close_console();
}

static void one_at_a_time_reads_and_types(void)
{
	char buf[8];
	open_console();
	int first = reader();
	T_TRUE(write(first, "ab", 2) == 2);
	while (read(console_in_fd(con), buf, 2) != 2)
		turn_once();
	T_TRUE(memcmp(buf, "ab", 2) == 0);
	int second = reader();
	while (recv(second, buf, 1, MSG_DONTWAIT) != 0)
		turn_once(); /* hung up on */
	T_TRUE(write(console_out_fd(con), "to 1", 4) == 4);
	get(first, buf, 4);
	close(first);
	close(second);
	for (int i = 0; i < 8; i++)
		turn_once();
	second = reader();
	T_TRUE(write(console_out_fd(con), "to 2", 4) == 4);
	get(second, buf, 4);
	T_TRUE(memcmp(buf, "to 2", 4) == 0);
	close(second);
	close_console();
}

static void what_the_guest_said_last_is_given_at_the_end(void)
{
	char buf[8];
	open_console();
	int fd = reader();
	T_TRUE(write(console_out_fd(con), "a", 1) == 1);
	get(fd, buf, 1);
	T_TRUE(write(console_out_fd(con), "last", 4) == 4);
	close_console();
	T_TRUE(recv(fd, buf, 8, MSG_DONTWAIT) == 4);
	close(fd);
}

static const struct t_test tests[] = {
	T_TEST(an_answer_has_the_id_of_its_request),
	T_TEST(only_the_owner_may_connect),
	T_TEST(what_is_no_request_is_told_so_and_nothing_more),
	T_TEST(a_line_that_is_too_long_is_hung_up_on),
	T_TEST(requests_in_one_write_are_answered_in_order),
	T_TEST(many_short_requests_need_no_deep_stack),
	T_TEST(others_are_answered_while_one_waits),
	T_TEST(who_hangs_up_early_leaves_his_order_to_its_end),
	T_TEST(who_has_said_all_still_gets_his_answer),
	T_TEST(a_ninth_client_is_hung_up_on),
	T_TEST(a_socket_in_use_is_left_alone_a_dead_one_is_not),
	T_TEST(orders_become_requests),
	T_TEST(a_number_that_is_too_large_is_not_another),
	T_TEST(a_wrong_order_is_refused_before_it_is_sent),
	T_TEST(codes_have_the_same_exit_status_over_there),
	T_TEST(ctrl_a_is_ours_and_all_else_the_guests),
	T_TEST(the_terminal_is_as_it_was_after_an_exit),
	T_TEST(the_terminal_is_as_it_was_after_a_crash),
	T_TEST(a_console_keeps_the_last_of_what_nobody_reads),
	T_TEST(one_at_a_time_reads_and_types),
	T_TEST(what_the_guest_said_last_is_given_at_the_end),
	T_END
};

const struct t_suite t_suite_vmm_ctl = { "vmm_ctl", tests };
