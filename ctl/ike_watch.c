/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_daemon.h"

#include "line_queue.h"

#include "ike_file.h"
#include "ike_missing.h"
#include "ike_words.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* "ike watch" and "ike run": charon's events as they come. */

#define PING_SECONDS 2
#define LOOK_SECONDS 10 /* whether charon still has what was loaded */

static volatile sig_atomic_t hung_up;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		hung_up = 1;
	else
		ike_ended = 1;
}

/* The IKE SA of an event: the one section of its message. */
static json_t *
section_of(const json_t *message, const char **name)
{
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)message, *name, v)
		if (json_is_object(v))
			return v;
	return NULL;
}

static void
child_text(const char *event, const json_t *message, const json_t *sa, char *buf, size_t size)
{
	bool rekey = strcmp(event, "child-rekey") == 0, up = json_object_get(message, "up") != NULL;
	json_t *child = NULL, *old;
	const char *key = "", *name = "";
	size_t len = 0;

	json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
		old = json_object_get(child, "old");
		name = ike_text(rekey ? old : child, "name");
		if (rekey)
			child = json_object_get(child, "new");
		if (!rekey && !up) {
			len += (size_t)snprintf(buf + len, size - len,
				"tunnel %s down: %s bytes in, %s out", name,
				ike_text(child, "bytes-in"), ike_text(child, "bytes-out"));
		} else {
			len += (size_t)snprintf(buf + len, size - len,
				"tunnel %s %s: %s, SPI 0x%s in, 0x%s out, %s%s%s", name,
				rekey ? "has new keys" : "up", ike_text(sa, "remote-host"),
				ike_text(child, "spi-in"), ike_text(child, "spi-out"),
				ike_text(child, "encr-alg"),
				*ike_text(child, "encr-keysize") != '\0' ? "-" : "",
				ike_text(child, "encr-keysize"));
		}
		break; /* one in an event */
	}
}

const char *
ike_event_text(const char *event, const json_t *message, char *buf, size_t size)
{
	const char *ike = "";
	const json_t *sa = section_of(message, &ike), *new;
	struct ike_words w;

	buf[0] = '\0';
	if (strcmp(event, "log") == 0) {
		ike = ike_text(message, "ikesa-name");
		if (!ike_words(ike_text(message, "msg"), &w))
			return NULL;
		snprintf(buf, size, "%s%s%s%s", *ike != '\0' ? "gateway " : "charon", ike, ": ",
			w.words);
	} else if (sa == NULL) {
		return NULL;
	} else if (strncmp(event, "child-", 6) == 0) {
		child_text(event, message, sa, buf, size);
	} else if (strcmp(event, "ike-updown") == 0) {
		bool up = json_object_get(message, "up") != NULL;

		/* One that never had a peer is a failed attempt. */
		if (!up && strcmp(ike_text(sa, "remote-id"), "%any") == 0)
			snprintf(buf, size, "gateway %s not connected: %s", ike,
				ike_text(sa, "remote-host"));
		else
			snprintf(buf, size, "gateway %s %s: %s [%s]", ike,
				up ? "connected" : "disconnected", ike_text(sa, "remote-host"),
				ike_text(sa, "remote-id"));
	} else if (strcmp(event, "ike-rekey") == 0) {
		new = json_object_get(sa, "new");
		snprintf(buf, size, "gateway %s has new keys: %s [%s]", ike,
			ike_text(new, "remote-host"), ike_text(new, "remote-id"));
	} else if (strcmp(event, "ike-update") == 0) {
		snprintf(buf, size, "gateway %s moved: %s -> %s", ike, ike_text(sa, "remote-host"),
			ike_text(message, "remote-host"));
	}
	return *buf != '\0' ? buf : NULL;
}

struct watch {
	const struct ike_options *o;
	struct vici *v;
	struct line_queue *lines;
	bool loaded; /* what was loaded shall stay */
};

/* On libvici's thread, which must not wait for who reads. */
static void
on_event(void *ctx, const char *event, json_t *message)
{
	struct watch *w = ctx;
	bool log = strcmp(event, "log") == 0;
	char text[512], clock[16], *whole;
	const char *line = NULL;
	time_t now = time(NULL);
	struct tm tm;

	if (w->o->view.json) {
		if (!log || w->o->child_logs ||
			ike_event_text(event, message, text, sizeof(text)) != NULL) {
			json_t *v = json_pack("{sIsssO}", "time", (json_int_t)now, "event", event,
				"message", message);
			char *s = json_dumps(v, JSON_COMPACT);

			if (s != NULL)
				line_queue_add(w->lines, s);
			free(s);
			json_decref(v);
		}
	} else {
		line = ike_event_text(event, message, text, sizeof(text));
		if (line == NULL && log && w->o->child_logs)
			line = ike_text(message, "msg");
		strftime(clock, sizeof(clock), "%T ", localtime_r(&now, &tm));
		/* The journal has a clock of its own. */
		if (line != NULL &&
			asprintf(&whole, "%s%s", getenv("JOURNAL_STREAM") != NULL ? "" : clock,
				line) >= 0) {
			line_queue_add(w->lines, whole);
			free(whole);
		}
	}
}

/* CTL_REFUSED after a line about what charon has no more. */
static int
look(struct watch *w)
{
	char what[128];

	switch (ike_missing(w->v, what, sizeof(what))) {
	case 0:
		return CTL_OK;
	case 1:
		return client_fail(CTL_REFUSED,
			"charon has lost %s (swanctl --load-all unloads all that is not in its own "
			"file): loading again",
			what);
	default:
		return CTL_NO_ROUTER;
	}
}

/* False to end it: what nobody can read ends watch, and run goes on without. */
static bool
write_lines(struct watch *w)
{
	static const struct timespec rest = {.tv_sec = PING_SECONDS};

	if (line_queue_write(w->lines, fileno(w->o->view.out), PING_SECONDS * 1000))
		return true;
	if (!w->loaded)
		return false;
	line_queue_drop(w->lines);
	nanosleep(&rest, NULL);
	return true;
}

/* Until charon is gone or has lost what was loaded, or a signal ends it. */
static int
watch(struct watch *w)
{
	static const char *const events[] = {
		"ike-updown", "child-updown", "ike-rekey", "child-rekey", "ike-update", "log"};
	unsigned int seconds = 0;
	json_t *answer;
	int rc;

	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (!vici_listen(w->v, events[i], on_event, w))
			return CTL_NO_ROUTER;
	while (!ike_ended && !hung_up) {
		if (!write_lines(w) || ike_ended || hung_up)
			break;
		answer = vici_call(w->v, "version", NULL, 30);
		if (answer == NULL)
			return CTL_NO_ROUTER;
		json_decref(answer);
		seconds += PING_SECONDS;
		rc = w->loaded && seconds % LOOK_SECONDS == 0 ? look(w) : CTL_OK;
		if (rc != CTL_OK)
			return rc;
	}
	return CTL_OK;
}

static bool
watch_begin(struct watch *w)
{
	w->lines = line_queue_new(
		w->o->view.json ? "{\"lost\":%lu}" : "%lu events were lost: nobody read them");
	if (w->lines == NULL)
		client_fail(0, "out of memory");
	return w->lines != NULL;
}

static void
catch_signals(void)
{
	const struct sigaction act = {.sa_handler = on_signal};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int
ike_watch_command(const struct ike_options *o)
{
	struct watch w = {.o = o};
	int rc = watch_begin(&w) ? ike_connect(o, &w.v) : CTL_REFUSED;

	if (rc != CTL_OK) {
		line_queue_free(w.lines);
		return rc;
	}
	catch_signals();
	rc = watch(&w);
	if (rc != CTL_OK)
		client_fail(0, "charon hung up");
	vici_close(w.v);
	line_queue_free(w.lines);
	return rc;
}

/* systemd's protocol: one datagram. Where it does not read, the tunnels do not wait for it. */
static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const struct timeval wait = {.tv_sec = 1};
	int fd;

	if (path == NULL || strlen(path) >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, strlen(path));
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		client_fail(0, "systemd does not hear us");
	close(fd);
}

static const struct timespec pause_between = {.tv_nsec = 500000000};

/* Waits for charon, quietly after the first line. */
static bool
wait_for_charon(const struct ike_options *o)
{
	const char *why;
	struct vici *v;
	bool told = false;

	while (!ike_ended) {
		v = vici_open(o->uri, &why);
		if (v != NULL) {
			vici_close(v);
			return true;
		}
		if (!told)
			client_fail(0, "%s (waiting)", why);
		told = true;
		nanosleep(&pause_between, NULL);
	}
	return false;
}

int
ike_run_command(const struct ike_options *o)
{
	struct watch w = {.o = o, .loaded = true};
	struct ike_file *f;
	bool loaded = false;
	int rc = ike_open(o, &f);

	/* A wrong file is told at once, and a charon that never comes is no reason to hold up a boot. */
	if (rc != CTL_OK)
		return rc;
	ike_file_free(f);
	if (!watch_begin(&w))
		return CTL_REFUSED;
	catch_signals();
	while (!ike_ended) {
		notify("READY=1\nSTATUS=waiting for charon");
		if (!wait_for_charon(o))
			break;
		if (loaded)
			notify("RELOADING=1");
		hung_up = 0;
		rc = ike_load_command(o);
		catch_signals();
		if (ike_ended)
			break;
		/* The charon that is there next has nothing of the file. */
		if (rc == CTL_NO_ROUTER) {
			nanosleep(&pause_between, NULL);
			continue;
		}
		/* A first file that is wrong ends it; a later one leaves what is there. */
		if (rc != CTL_OK && !loaded) {
			line_queue_free(w.lines);
			return rc;
		}
		notify(rc == CTL_OK
				? "READY=1\nSTATUS=the file is loaded"
				: "READY=1\nSTATUS=the file was refused: charon has what it had");
		loaded = true;
		fflush(o->view.out);
		if (ike_connect(o, &w.v) != CTL_OK)
			continue;
		rc = watch(&w);
		if (rc == CTL_NO_ROUTER && !ike_ended)
			client_fail(0, "charon is gone (waiting)");
		vici_close(w.v);
	}
	notify("STOPPING=1");
	line_queue_free(w.lines);
	return CTL_OK;
}
