// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The calls, in the order of the interface.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use futures_util::stream::{self, Stream, TryStreamExt};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::{Answer, Calls, admitted, client, health, policies, restrict};
use crate::api::convert::{self, Change};
use crate::api::gate::blocking;
use crate::api::pb;
use crate::api::policies::{of_campaign, of_policy};
use crate::api::status::status;
use crate::domain::{Error, Operation, Outcome, Permission, Result};
use crate::store::{Unlock, Verified};

/// Changes in one batch.
const BATCH_MAX: usize = 10_000;
/// Bytes of a piece of a backup.
const CHUNK: usize = 64 * 1024;

#[tonic::async_trait]
impl pb::c2_server::C2 for Calls {
    type SubscribeToEventStreamStream =
        Pin<Box<dyn Stream<Item = std::result::Result<pb::Event, Status>> + Send>>;
    type BackupStream =
        Pin<Box<dyn Stream<Item = std::result::Result<pb::BackupChunk, Status>> + Send>>;

    async fn new_client(
        &self,
        request: Request<pb::NewClientRequest>,
    ) -> Answer<pb::NewClientResponse> {
        let made = request.get_ref().key.is_empty();
        let mut response = self
            .change(request, |outcome| pb::NewClientResponse {
                key: outcome.secret.map(|secret| secret.0.to_vec()),
                c2_public_key: None,
                device_broker: None,
            })
            .await?;
        // Who brings a key along gets an empty answer, as old tools expect.
        if made {
            let broker = self.service.device_broker().map(ToString::to_string);
            response.get_mut().device_broker = broker;
        }
        if made && self.service.mode() == e4::Mode::PublicKey {
            let service = self.service.clone();
            let key = blocking(move || service.c2_public_key()).await?;
            response.get_mut().c2_public_key = Some(key.as_bytes().to_vec());
        }
        Ok(response)
    }

    async fn remove_client(
        &self,
        request: Request<pb::RemoveClientRequest>,
    ) -> Answer<pb::RemoveClientResponse> {
        self.change(request, |_| pb::RemoveClientResponse {}).await
    }

    async fn reset_client(
        &self,
        request: Request<pb::ResetClientRequest>,
    ) -> Answer<pb::ResetClientResponse> {
        self.change(request, |_| pb::ResetClientResponse {}).await
    }

    async fn new_client_key(
        &self,
        request: Request<pb::NewClientKeyRequest>,
    ) -> Answer<pb::NewClientKeyResponse> {
        self.change(request, |_| pb::NewClientKeyResponse {}).await
    }

    async fn new_topic(
        &self,
        request: Request<pb::NewTopicRequest>,
    ) -> Answer<pb::NewTopicResponse> {
        self.change(request, |_| pb::NewTopicResponse {}).await
    }

    async fn remove_topic(
        &self,
        request: Request<pb::RemoveTopicRequest>,
    ) -> Answer<pb::RemoveTopicResponse> {
        self.change(request, |_| pb::RemoveTopicResponse {}).await
    }

    async fn new_topic_client(
        &self,
        request: Request<pb::NewTopicClientRequest>,
    ) -> Answer<pb::NewTopicClientResponse> {
        self.change(request, |_| pb::NewTopicClientResponse {}).await
    }

    async fn remove_topic_client(
        &self,
        request: Request<pb::RemoveTopicClientRequest>,
    ) -> Answer<pb::RemoveTopicClientResponse> {
        self.change(request, |_| pb::RemoveTopicClientResponse {}).await
    }

    async fn count_topics_for_client(
        &self,
        request: Request<pb::CountTopicsForClientRequest>,
    ) -> Answer<pb::CountTopicsForClientResponse> {
        self.read(request, |service, message| {
            let count = service.count_topics_of_client(&client(message.client))?;
            Ok(pb::CountTopicsForClientResponse { count })
        })
        .await
    }

    async fn get_topics_for_client(
        &self,
        request: Request<pb::GetTopicsForClientRequest>,
    ) -> Answer<pb::GetTopicsForClientResponse> {
        self.read(request, |service, message| {
            let page = convert::page(message.offset, message.count, message.after)?;
            let topics = service.topics_of_client(&client(message.client), &page)?;
            Ok(pb::GetTopicsForClientResponse { topics })
        })
        .await
    }

    async fn count_clients_for_topic(
        &self,
        request: Request<pb::CountClientsForTopicRequest>,
    ) -> Answer<pb::CountClientsForTopicResponse> {
        self.read(request, |service, message| {
            let count = service.count_clients_of_topic(&message.topic)?;
            Ok(pb::CountClientsForTopicResponse { count })
        })
        .await
    }

    async fn get_clients_for_topic(
        &self,
        request: Request<pb::GetClientsForTopicRequest>,
    ) -> Answer<pb::GetClientsForTopicResponse> {
        self.read(request, |service, message| {
            let page = convert::page(message.offset, message.count, message.after)?;
            let clients = service.clients_of_topic(&message.topic, &page)?;
            Ok(pb::GetClientsForTopicResponse { clients: convert::clients(clients) })
        })
        .await
    }

    async fn count_clients(
        &self,
        request: Request<pb::CountClientsRequest>,
    ) -> Answer<pb::CountClientsResponse> {
        self.read(request, |service, _| {
            Ok(pb::CountClientsResponse { count: service.count_clients()? })
        })
        .await
    }

    async fn get_clients(
        &self,
        request: Request<pb::GetClientsRequest>,
    ) -> Answer<pb::GetClientsResponse> {
        self.read(request, |service, message| {
            let page = convert::page(message.offset, message.count, message.after)?;
            let clients = match message.troubled {
                true => service.troubled_clients(&page)?,
                false => service.clients(&page)?,
            };
            Ok(pb::GetClientsResponse { clients: convert::clients(clients) })
        })
        .await
    }

    async fn count_topics(
        &self,
        request: Request<pb::CountTopicsRequest>,
    ) -> Answer<pb::CountTopicsResponse> {
        self.read(request, |service, _| {
            Ok(pb::CountTopicsResponse { count: service.count_topics()? })
        })
        .await
    }

    async fn get_topics(
        &self,
        request: Request<pb::GetTopicsRequest>,
    ) -> Answer<pb::GetTopicsResponse> {
        self.read(request, |service, message| {
            let page = convert::page(message.offset, message.count, message.after)?;
            Ok(pb::GetTopicsResponse { topics: service.topics(&page)? })
        })
        .await
    }

    async fn link_client(
        &self,
        request: Request<pb::LinkClientRequest>,
    ) -> Answer<pb::LinkClientResponse> {
        self.change(request, |_| pb::LinkClientResponse {}).await
    }

    async fn unlink_client(
        &self,
        request: Request<pb::UnlinkClientRequest>,
    ) -> Answer<pb::UnlinkClientResponse> {
        self.change(request, |_| pb::UnlinkClientResponse {}).await
    }

    async fn count_linked_clients(
        &self,
        request: Request<pb::CountLinkedClientsRequest>,
    ) -> Answer<pb::CountLinkedClientsResponse> {
        self.read(request, |service, message| {
            let count = service.count_linked_clients(&client(message.client))?;
            Ok(pb::CountLinkedClientsResponse { count })
        })
        .await
    }

    async fn get_linked_clients(
        &self,
        request: Request<pb::GetLinkedClientsRequest>,
    ) -> Answer<pb::GetLinkedClientsResponse> {
        self.read(request, |service, message| {
            let page = convert::page(message.offset, message.count, message.after)?;
            let clients = service.linked_clients(&client(message.client), &page)?;
            Ok(pb::GetLinkedClientsResponse { clients: convert::clients(clients) })
        })
        .await
    }

    async fn send_client_pub_key(
        &self,
        request: Request<pb::SendClientPubKeyRequest>,
    ) -> Answer<pb::SendClientPubKeyResponse> {
        self.change(request, |_| pb::SendClientPubKeyResponse {}).await
    }

    async fn remove_client_pub_key(
        &self,
        request: Request<pb::RemoveClientPubKeyRequest>,
    ) -> Answer<pb::RemoveClientPubKeyResponse> {
        self.change(request, |_| pb::RemoveClientPubKeyResponse {}).await
    }

    async fn reset_client_pub_keys(
        &self,
        request: Request<pb::ResetClientPubKeysRequest>,
    ) -> Answer<pb::ResetClientPubKeysResponse> {
        self.change(request, |_| pb::ResetClientPubKeysResponse {}).await
    }

    async fn new_c2_key(
        &self,
        request: Request<pb::NewC2KeyRequest>,
    ) -> Answer<pb::NewC2KeyResponse> {
        self.change(request, |_| pb::NewC2KeyResponse {}).await
    }

    async fn protect_message(
        &self,
        request: Request<pb::ProtectMessageRequest>,
    ) -> Answer<pb::ProtectMessageResponse> {
        self.read(request, |service, message| {
            let binary_data = Zeroizing::new(message.binary_data);
            let protected_binary_data = service.protect(&message.topic, &binary_data)?;
            Ok(pb::ProtectMessageResponse { topic: message.topic, protected_binary_data })
        })
        .await
    }

    async fn unprotect_message(
        &self,
        request: Request<pb::UnprotectMessageRequest>,
    ) -> Answer<pb::UnprotectMessageResponse> {
        self.read(request, |service, message| {
            let binary_data = service.unprotect(&message.topic, &message.protected_binary_data)?;
            Ok(pb::UnprotectMessageResponse { topic: message.topic, binary_data })
        })
        .await
    }

    async fn subscribe_to_event_stream(
        &self,
        request: Request<pb::SubscribeToEventStreamRequest>,
    ) -> Answer<Self::SubscribeToEventStreamStream> {
        let token = admitted(&request)?.grant.name;
        let receiver = self.events.subscribe(request.into_inner().after, token).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn health_check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Answer<pb::HealthCheckResponse> {
        let figures = self.figures.clone();
        self.read(request, move |service, _| {
            let (code, status) = match health(service, &figures) {
                Ok(()) => (0, "OK".to_string()),
                Err(why) => (1, why.to_string()),
            };
            Ok(pb::HealthCheckResponse { code, status })
        })
        .await
    }

    async fn get_crypto_mode(
        &self,
        request: Request<pb::GetCryptoModeRequest>,
    ) -> Answer<pb::GetCryptoModeResponse> {
        self.read(request, |service, _| {
            let mode = match service.mode() {
                e4::Mode::Symmetric => pb::CryptoMode::CryptomodeSymkey,
                e4::Mode::PublicKey => pb::CryptoMode::CryptomodePubkey,
            };
            Ok(pb::GetCryptoModeResponse { crypto_mode: mode.into() })
        })
        .await
    }

    async fn batch(&self, request: Request<pb::BatchRequest>) -> Answer<pb::BatchResponse> {
        let admitted = admitted(&request)?;
        let message = request.into_inner();
        if message.changes.len() > BATCH_MAX {
            let why = format!("more than {BATCH_MAX} changes");
            return Err(status(Error::invalid("changes", why)));
        }
        let add_only = !admitted.grant.allows(Permission::Operate);
        let mut operations = Vec::with_capacity(message.changes.len());
        for (number, change) in message.changes.into_iter().enumerate() {
            let operation = change.operation().map_err(|error| {
                status(Error::invalid("changes", format!("number {number}: {error}")))
            })?;
            let operation = restrict(operation, &admitted);
            if add_only && !matches!(operation, Operation::AddClient { .. }) {
                let why = format!("changes: number {number}: this role adds clients, and no more");
                return Err(Status::permission_denied(why));
            }
            operations.push(operation);
        }
        let room = self.room(&operations).await?;
        let (service, key) = (self.service.clone(), message.idempotency_key);
        let batch = blocking(move || {
            let _room = room;
            let (caller, key) = (&admitted.caller, (!key.is_empty()).then_some(key.as_str()));
            service.apply_once(caller, key, &operations)
        })
        .await?;
        self.changed();
        let result = |result: Result<Outcome>| match result {
            Ok(outcome) => pb::Result {
                code: 0,
                message: String::new(),
                operation: outcome.operation,
                created: outcome.created,
                key: outcome.secret.map(|secret| secret.0.to_vec()),
            },
            Err(error) => {
                let refused = status(error);
                let message = refused.message().to_string();
                pb::Result { code: refused.code().into(), message, ..pb::Result::default() }
            }
        };
        let results = batch.results.into_iter().map(result).collect();
        Ok(Response::new(pb::BatchResponse { results, again: batch.again }))
    }

    async fn get_client_state(
        &self,
        request: Request<pb::GetClientStateRequest>,
    ) -> Answer<pb::ClientState> {
        self.read(request, |service, message| {
            service.client_state(&client(message.client)).map(convert::client_state)
        })
        .await
    }

    async fn get_topic_state(
        &self,
        request: Request<pb::GetTopicStateRequest>,
    ) -> Answer<pb::TopicState> {
        self.read(request, |service, message| {
            let state = service.topic_state(&message.topic)?;
            let clients = Some(convert::counts(state.clients));
            Ok(pb::TopicState { topic: message.topic, epoch: state.epoch, clients })
        })
        .await
    }

    async fn get_operation(
        &self,
        request: Request<pb::GetOperationRequest>,
    ) -> Answer<pb::Operation> {
        self.read(request, |service, message| {
            let state = service.operation(message.number)?;
            let record = convert::audit_record(state.record);
            Ok(pb::Operation {
                number: record.number,
                at: record.at,
                actor: record.actor,
                action: record.action,
                detail: record.detail,
                clients: Some(convert::counts(state.clients)),
            })
        })
        .await
    }

    async fn resync(&self, request: Request<pb::ResyncRequest>) -> Answer<pb::ResyncResponse> {
        self.change(request, |_| pb::ResyncResponse {}).await
    }

    async fn get_statistics(
        &self,
        request: Request<pb::GetStatisticsRequest>,
    ) -> Answer<pb::Statistics> {
        let figures = self.figures.clone();
        self.read(request, move |service, _| {
            let numbers = service.statistics()?;
            let count = |at: &std::sync::atomic::AtomicU64| {
                i64::try_from(at.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
            };
            Ok(pb::Statistics {
                clients: numbers.clients,
                topics: numbers.topics,
                memberships: numbers.memberships,
                deliveries: Some(convert::counts(numbers.deliveries)),
                due_clients: numbers.due_clients,
                troubled_clients: numbers.troubled_clients,
                commands_sent: count(&figures.sent),
                commands_handed: count(&figures.handed),
                answers_heard: count(&figures.answers),
                broker_connected: figures.connected.load(Ordering::Relaxed),
                audit_records: numbers.audit_records,
                answering_clients: numbers.answering_clients,
            })
        })
        .await
    }

    async fn get_c2_public_key(
        &self,
        request: Request<pb::GetC2PublicKeyRequest>,
    ) -> Answer<pb::GetC2PublicKeyResponse> {
        self.read(request, |service, _| {
            let key = service.c2_public_key()?.as_bytes().to_vec();
            Ok(pb::GetC2PublicKeyResponse { key })
        })
        .await
    }

    async fn list_audit(
        &self,
        request: Request<pb::ListAuditRequest>,
    ) -> Answer<pb::ListAuditResponse> {
        self.read(request, |service, message| {
            if message.count < 0 || message.after < 0 {
                return Err(Error::invalid("count", "is below 0"));
            }
            let records = service.audit_records(message.after, message.count.min(1000))?;
            let records = records.into_iter().map(convert::audit_record).collect();
            Ok(pb::ListAuditResponse { records })
        })
        .await
    }

    async fn verify_audit(
        &self,
        request: Request<pb::VerifyAuditRequest>,
    ) -> Answer<pb::VerifyAuditResponse> {
        self.read(request, |service, _| {
            Ok(match service.store().verify_audit()? {
                Verified::Intact(head) => pb::VerifyAuditResponse {
                    intact: true,
                    number: head.seq,
                    why: String::new(),
                    mac: head.mac.to_vec(),
                },
                Verified::Broken { seq, why } => pb::VerifyAuditResponse {
                    intact: false,
                    number: seq,
                    why: why.into(),
                    mac: Vec::new(),
                },
            })
        })
        .await
    }

    async fn create_token(
        &self,
        request: Request<pb::CreateTokenRequest>,
    ) -> Answer<pb::CreateTokenResponse> {
        let caller = admitted(&request)?.caller;
        let response = self
            .read(request, move |service, message| {
                let token = service.create_token(&caller, &message.try_into()?)?;
                let token = token.map(|token| token.to_string()).unwrap_or_default();
                Ok(pb::CreateTokenResponse { token })
            })
            .await?;
        self.events.changed();
        Ok(response)
    }

    async fn list_tokens(
        &self,
        request: Request<pb::ListTokensRequest>,
    ) -> Answer<pb::ListTokensResponse> {
        self.read(request, |service, message| {
            let page = convert::page(0, message.count, message.after)?;
            let tokens = service.tokens(&page)?.into_iter().map(convert::token).collect();
            Ok(pb::ListTokensResponse { tokens })
        })
        .await
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Answer<pb::RevokeTokenResponse> {
        let caller = admitted(&request)?.caller;
        let response = self
            .read(request, move |service, message| {
                service.revoke_token(&caller, &message.name)?;
                Ok(pb::RevokeTokenResponse {})
            })
            .await?;
        self.events.changed();
        Ok(response)
    }

    async fn change_passphrase(
        &self,
        request: Request<pb::ChangePassphraseRequest>,
    ) -> Answer<pb::ChangePassphraseResponse> {
        let caller = admitted(&request)?.caller;
        let response = self
            .read(request, move |service, message| {
                let unlock = Unlock::Passphrase(Zeroizing::new(message.passphrase));
                service.store().rekey(&unlock, &caller, service.clock().now())?;
                Ok(pb::ChangePassphraseResponse {})
            })
            .await?;
        self.events.changed();
        Ok(response)
    }

    async fn backup(&self, request: Request<pb::BackupRequest>) -> Answer<Self::BackupStream> {
        let caller = admitted(&request)?.caller;
        let (service, events) = (self.service.clone(), self.events.clone());
        // That of a large fleet takes longer than a call may, so it is made within the stream.
        let made = async move {
            let file = blocking(move || service.backup(&caller)).await?;
            events.changed();
            Ok::<_, Status>(pieces(File::from_std(file)))
        };
        Ok(Response::new(Box::pin(stream::once(made).try_flatten())))
    }

    async fn set_label(
        &self,
        request: Request<pb::SetLabelRequest>,
    ) -> Answer<pb::SetLabelResponse> {
        self.change(request, |_| pb::SetLabelResponse {}).await
    }

    async fn remove_label(
        &self,
        request: Request<pb::RemoveLabelRequest>,
    ) -> Answer<pb::RemoveLabelResponse> {
        self.change(request, |_| pb::RemoveLabelResponse {}).await
    }

    async fn get_labels(
        &self,
        request: Request<pb::GetLabelsRequest>,
    ) -> Answer<pb::GetLabelsResponse> {
        self.read(request, policies::labels).await
    }

    async fn rotate_topic(
        &self,
        request: Request<pb::RotateTopicRequest>,
    ) -> Answer<pb::RotateTopicResponse> {
        self.change(request, |outcome| pb::RotateTopicResponse {
            epoch: outcome.epoch.unwrap_or_default(),
        })
        .await
    }

    async fn get_rotation_plan(
        &self,
        request: Request<pb::GetRotationPlanRequest>,
    ) -> Answer<pb::RotationPlan> {
        self.read(request, policies::rotation_plan).await
    }

    async fn create_policy(&self, request: Request<pb::CreatePolicyRequest>) -> Answer<pb::Policy> {
        self.act(request, policies::create).await
    }

    async fn update_policy(&self, request: Request<pb::UpdatePolicyRequest>) -> Answer<pb::Policy> {
        self.act(request, policies::update).await
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Answer<pb::ListPoliciesResponse> {
        self.read(request, policies::list).await
    }

    async fn get_policy(&self, request: Request<pb::GetPolicyRequest>) -> Answer<pb::Policy> {
        self.read(request, |service, message| service.policy(&message.name).map(of_policy)).await
    }

    async fn pause_policy(&self, request: Request<pb::PausePolicyRequest>) -> Answer<pb::Policy> {
        self.act(request, |service, caller, message| {
            service.pause_policy(caller, &message.name).map(of_policy)
        })
        .await
    }

    async fn resume_policy(&self, request: Request<pb::ResumePolicyRequest>) -> Answer<pb::Policy> {
        self.act(request, |service, caller, message| {
            service.resume_policy(caller, &message.name).map(of_policy)
        })
        .await
    }

    async fn run_policy(
        &self,
        request: Request<pb::RunPolicyRequest>,
    ) -> Answer<pb::RunPolicyResponse> {
        self.act(request, policies::run).await
    }

    async fn delete_policy(
        &self,
        request: Request<pb::DeletePolicyRequest>,
    ) -> Answer<pb::DeletePolicyResponse> {
        self.act(request, |service, caller, message| {
            service.delete_policy(caller, &message.name)?;
            Ok(pb::DeletePolicyResponse {})
        })
        .await
    }

    async fn list_campaigns(
        &self,
        request: Request<pb::ListCampaignsRequest>,
    ) -> Answer<pb::ListCampaignsResponse> {
        self.read(request, policies::campaigns).await
    }

    async fn get_campaign(&self, request: Request<pb::GetCampaignRequest>) -> Answer<pb::Campaign> {
        self.read(request, |service, message| service.campaign(message.number).map(of_campaign))
            .await
    }

    async fn list_campaign_items(
        &self,
        request: Request<pb::ListCampaignItemsRequest>,
    ) -> Answer<pb::ListCampaignItemsResponse> {
        self.read(request, policies::items).await
    }

    async fn pause_campaign(
        &self,
        request: Request<pb::PauseCampaignRequest>,
    ) -> Answer<pb::Campaign> {
        self.act(request, |service, caller, message| {
            service.pause_campaign(caller, message.number).map(of_campaign)
        })
        .await
    }

    async fn resume_campaign(
        &self,
        request: Request<pb::ResumeCampaignRequest>,
    ) -> Answer<pb::Campaign> {
        self.act(request, |service, caller, message| {
            service.resume_campaign(caller, message.number).map(of_campaign)
        })
        .await
    }

    async fn cancel_campaign(
        &self,
        request: Request<pb::CancelCampaignRequest>,
    ) -> Answer<pb::Campaign> {
        self.act(request, |service, caller, message| {
            service.cancel_campaign(caller, message.number).map(of_campaign)
        })
        .await
    }
}

/// A file, piece by piece.
fn pieces(file: File) -> impl Stream<Item = std::result::Result<pb::BackupChunk, Status>> {
    stream::try_unfold(file, |mut file| async move {
        let mut data = vec![0; CHUNK];
        let length = file.read(&mut data).await.map_err(|error| {
            tracing::error!("backup: {error}");
            Status::internal("the backup could not be read")
        })?;
        data.truncate(length);
        Ok((length > 0).then_some((pb::BackupChunk { data }, file)))
    })
}
