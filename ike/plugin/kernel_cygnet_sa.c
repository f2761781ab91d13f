/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "convert.h"
#include "kernel_cygnet_priv.h"

#include <errno.h>
#include <unistd.h>

#include <daemon.h>
#include <utils/debug.h>

#define UPDATE_TRIES 20
#define UPDATE_WAIT_US 10000

/*
 * charon is done with the SA, but whether the router has it nobody knows: it is asked to delete it until it
 * says that it is gone. Lock held.
 */
static void
doom(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id, uint64_t epoch)
{
	struct desired_sa sa = {.id = *id, .epoch = epoch, .doomed = true};

	desired_add_sa(this->desired, &sa);
	link_replay(this->link);
}

METHOD(kernel_ipsec_t, get_spi, status_t, private_kernel_cygnet_ipsec_t *this, host_t *src,
	host_t *dst, uint8_t protocol, uint32_t *spi)
{
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_GET_SPI);
	convert_host(src, &m.body.sa_id.src);
	convert_host(dst, &m.body.sa_id.dst);
	m.body.sa_id.proto = protocol;
	link_lock(this->link);
	link_wait_up(this->link);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc == 0)
		*spi = m.body.sa_id.spi;
	return kernel_cygnet_result(this, rc, "no SPI", 0);
}

METHOD(kernel_ipsec_t, add_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data)
{
	struct desired_sa sa = {.inbound = data->inbound}, was, twin;
	uint8_t key[IKE_KEY_MAX];
	bool known, has_twin, doubtful;
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_ADD_SA);
	if (!convert_add_sa(id, data, &m.body.add_sa))
		return FAILED;
	sa.id = m.body.add_sa.id;
	memcpy(key, data->enc_key.ptr, data->enc_key.len);
	memcpy(key + data->enc_key.len, data->int_key.ptr, data->int_key.len);
	link_lock(this->link);
	link_wait_up(this->link);
	/* Remembered before it is there: were it told afterwards, a router that dies between would go unnoticed. */
	sa.epoch = link_epoch(this->link);
	has_twin = desired_del_sa(this->desired, &sa.id, &twin);
	known = desired_add_sa(this->desired, &sa);
	if (!known)
		link_unlock(this->link);
	rc = known ? link_call(this->link, &m, key, data->enc_key.len + data->int_key.len)
		   : -ENOMEM;
	memwipe(key, sizeof(key));
	if (rc == 0)
		return SUCCESS;
	link_lock(this->link);
	/* With -ENOTCONN it may have been the agent alone that went, after the router had taken it. */
	doubtful = rc == -ETIMEDOUT || (rc == -ENOTCONN && sa.epoch != 0);
	/* Where there was one the router takes no other, also when its answer is lost. */
	if (has_twin) {
		twin.refused += CHARON_DELETES_REFUSED;
		desired_move_sa(this->desired, &sa.id, &twin); /* the one that was there stays */
	} else {
		desired_del_sa(this->desired, &sa.id, &was);
	}
	if (doubtful && !has_twin)
		doom(this, &sa.id, sa.epoch);
	link_unlock(this->link);
	kernel_cygnet_result(this, rc, "adding SA", id->spi);
	return FAILED;
}

/*
 * An SA whose addresses change is known by its destination: charon goes on with the new one, whatever the
 * router says, which is rc.
 */
static void
end_move(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *old,
	const struct ike_msg_update_sa *to, int rc)
{
	struct desired_sa sa;

	link_lock(this->link);
	if (desired_find_sa(this->desired, old, &sa)) {
		sa.moving = false;
		if (rc != -ENOTSUP) {
			sa.id.src = to->new_src;
			sa.id.dst = to->new_dst;
			if (to->new_reqid != 0)
				sa.id.reqid = to->new_reqid;
		}
		desired_move_sa(this->desired, old, &sa);
		/*
		 * Its router died meanwhile, or does not have it under that name, which charon may have been told of, and must be
		 * until it deletes it: it takes no notice of what we return, and goes by the name that it has now.
		 */
		if (sa.epoch != link_epoch(this->link) || (rc < 0 && rc != -ENOTSUP))
			link_replay(this->link);
	}
	link_unlock(this->link);
}

static void
begin_move(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id)
{
	struct desired_sa sa;

	link_lock(this->link);
	link_wait_up(this->link);
	if (desired_find_sa(this->desired, id, &sa)) {
		sa.moving = true;
		desired_add_sa(this->desired, &sa);
	}
	link_unlock(this->link);
}

static bool
changes_reqid(const kernel_ipsec_update_sa_t *data)
{
#ifdef HAVE_KERNEL_IPSEC_UPDATE_SA_T_OLD_REQID
	return data->new_reqid != data->old_reqid;
#else
	return data->new_reqid != 0; /* unchanged */
#endif
}

METHOD(kernel_ipsec_t, update_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
	struct ike_msg_update_sa update = {};
	struct ike_msg m;
	int rc;

	convert_sa_id(id, &update.id);
	convert_host(data->new_src, &update.new_src);
	convert_host(data->new_dst, &update.new_dst);
	if (changes_reqid(data)) /* a selector was the address that changes */
		update.new_reqid = data->new_reqid;
	update.flags = data->new_encap ? IKE_SA_ENCAP : 0;
	update.new_src_port = htons(data->new_src->get_port(data->new_src));
	update.new_dst_port = htons(data->new_dst->get_port(data->new_dst));
	begin_move(this, &update.id);
	for (int tries = 0;; tries++) {
		desired_request(&m, IKE_UPDATE_SA);
		m.body.update_sa = update;
		link_lock(this->link);
		rc = link_call(this->link, &m, NULL, 0);
		/* The change before this one is not over yet. */
		if (rc != -EAGAIN || tries == UPDATE_TRIES)
			break;
		usleep(UPDATE_WAIT_US);
	}
	end_move(this, &update.id, &update, rc);
	return kernel_cygnet_result(this, rc, "updating SA", id->spi);
}

METHOD(kernel_ipsec_t, query_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_query_sa_t *data, uint64_t *bytes, uint64_t *packets,
	time_t *time)
{
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_QUERY_SA);
	convert_sa_id(id, &m.body.sa_id);
	link_lock(this->link);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc != 0)
		return kernel_cygnet_result(this, rc, "querying SA", id->spi);
	if (bytes)
		*bytes = m.body.usage.bytes;
	if (packets)
		*packets = m.body.usage.packets;
	if (time)
		*time = m.body.usage.last_use;
	return SUCCESS;
}

/* Takes an SA from the router; lock held, and given up. */
static int
delete_sa(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id)
{
	uint64_t epoch = link_epoch(this->link);
	struct desired_sa was;
	struct ike_msg m;
	bool known;
	int rc;

	/* charon deletes also an outbound SA that it could not add: the peer may have chosen an SPI that another one has. */
	if (desired_spare_sa(this->desired, id)) {
		link_unlock(this->link);
		return 0;
	}
	desired_request(&m, IKE_DEL_SA);
	m.body.sa_id = *id;
	known = desired_del_sa(this->desired, id, &was);
	if (known)
		epoch = was.epoch;
	rc = link_call(this->link, &m, NULL, 0);
	/* Without an agent the router may live all the same, and have the SA. */
	if (rc == -ETIMEDOUT || (known && (rc == -ENOTCONN || link_is_passing(rc)))) {
		link_lock(this->link);
		doom(this, id, epoch);
		link_unlock(this->link);
	}
	return rc;
}

METHOD(kernel_ipsec_t, del_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_del_sa_t *data)
{
	struct ike_msg_sa_id sa;
	int rc;

	convert_sa_id(id, &sa);
	link_lock(this->link);
	rc = delete_sa(this, &sa);
	/* An SA that expired, or died with its router, is gone already. */
	if (rc == -ENOENT || rc == -ENOTCONN || rc == -ESTALE)
		return SUCCESS;
	return kernel_cygnet_result(this, rc, "deleting SA", id->spi);
}

METHOD(kernel_ipsec_t, flush_sas, status_t, private_kernel_cygnet_ipsec_t *this)
{
	struct desired_sa sa;
	int rc = 0;

	link_lock(this->link);
	while ((rc == 0 || rc == -ENOENT) && desired_any_sa(this->desired, &sa)) {
		rc = delete_sa(this, &sa.id);
		link_lock(this->link);
	}
	link_unlock(this->link);
	return kernel_cygnet_result(this, rc == -ENOENT ? 0 : rc, "flushing SAs", 0);
}

void
kernel_cygnet_sa_methods(kernel_ipsec_t *interface)
{
	interface->get_spi = _get_spi;
	interface->add_sa = _add_sa;
	interface->update_sa = _update_sa;
	interface->query_sa = _query_sa;
	interface->del_sa = _del_sa;
	interface->flush_sas = _flush_sas;
}
