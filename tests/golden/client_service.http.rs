//! A copy of what the build writes for `ClientService`, for readers and reviews. Nothing uses it.

/// The fields of each message that a request can carry.
mod tables {
    use crate::transcode::{Field, Kind, Message};
    pub(super) static JUMPSTARTER_CLIENT_V1_CREATELEASEREQUEST: Message = Message {
        name: "jumpstarter.client.v1.CreateLeaseRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "lease_id", "leaseId", false, Kind::Text),
            Field::new(
                3u32,
                "lease",
                "lease",
                false,
                Kind::Message(&JUMPSTARTER_CLIENT_V1_LEASE),
            ),
        ],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_DELETELEASEREQUEST: Message = Message {
        name: "jumpstarter.client.v1.DeleteLeaseRequest",
        fields: &[Field::new(1u32, "name", "name", false, Kind::Text)],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_GETEXPORTERREQUEST: Message = Message {
        name: "jumpstarter.client.v1.GetExporterRequest",
        fields: &[
            Field::new(1u32, "name", "name", false, Kind::Text),
            Field::new(2u32, "show_hidden_labels", "showHiddenLabels", false, Kind::Text),
        ],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_GETLEASEREQUEST: Message = Message {
        name: "jumpstarter.client.v1.GetLeaseRequest",
        fields: &[Field::new(1u32, "name", "name", false, Kind::Text)],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_LEASE: Message = Message {
        name: "jumpstarter.client.v1.Lease",
        fields: &[
            Field::new(1u32, "name", "name", false, Kind::Text).identifier(),
            Field::new(2u32, "selector", "selector", false, Kind::Text),
            Field::new(3u32, "duration", "duration", false, Kind::Text),
            Field::new(
                4u32,
                "effective_duration",
                "effectiveDuration",
                false,
                Kind::Text,
            ),
            Field::new(5u32, "begin_time", "beginTime", false, Kind::Text),
            Field::new(
                6u32,
                "effective_begin_time",
                "effectiveBeginTime",
                false,
                Kind::Text,
            ),
            Field::new(7u32, "end_time", "endTime", false, Kind::Text),
            Field::new(
                8u32,
                "effective_end_time",
                "effectiveEndTime",
                false,
                Kind::Text,
            ),
            Field::new(9u32, "client", "client", false, Kind::Text),
            Field::new(10u32, "exporter", "exporter", false, Kind::Text),
            Field::new(
                11u32,
                "conditions",
                "conditions",
                true,
                Kind::Message(&JUMPSTARTER_V1_CONDITION),
            ),
            Field::new(12u32, "exporter_name", "exporterName", false, Kind::Text),
            Field::new(13u32, "tags", "tags", false, Kind::Opaque),
            Field::new(14u32, "allow_disabled", "allowDisabled", false, Kind::Text),
            Field::new(15u32, "context", "context", false, Kind::Opaque),
            Field::new(
                16u32,
                "deprecated_labels",
                "deprecatedLabels",
                false,
                Kind::Opaque,
            ),
        ],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_LISTEXPORTERSREQUEST: Message = Message {
        name: "jumpstarter.client.v1.ListExportersRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "page_size", "pageSize", false, Kind::Text),
            Field::new(3u32, "page_token", "pageToken", false, Kind::Text),
            Field::new(4u32, "filter", "filter", false, Kind::Text),
            Field::new(5u32, "show_hidden_labels", "showHiddenLabels", false, Kind::Text),
        ],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_LISTLEASESREQUEST: Message = Message {
        name: "jumpstarter.client.v1.ListLeasesRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "page_size", "pageSize", false, Kind::Text),
            Field::new(3u32, "page_token", "pageToken", false, Kind::Text),
            Field::new(4u32, "filter", "filter", false, Kind::Text),
            Field::new(5u32, "only_active", "onlyActive", false, Kind::Text),
            Field::new(6u32, "tag_filter", "tagFilter", false, Kind::Text),
        ],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_ROTATETOKENREQUEST: Message = Message {
        name: "jumpstarter.client.v1.RotateTokenRequest",
        fields: &[Field::new(1u32, "parent", "parent", false, Kind::Text)],
    };
    pub(super) static JUMPSTARTER_CLIENT_V1_UPDATELEASEREQUEST: Message = Message {
        name: "jumpstarter.client.v1.UpdateLeaseRequest",
        fields: &[
            Field::new(
                1u32,
                "lease",
                "lease",
                false,
                Kind::Message(&JUMPSTARTER_CLIENT_V1_LEASE),
            ),
            Field::new(2u32, "update_mask", "updateMask", false, Kind::Text),
        ],
    };
    pub(super) static JUMPSTARTER_V1_CONDITION: Message = Message {
        name: "jumpstarter.v1.Condition",
        fields: &[
            Field::new(1u32, "type", "type", false, Kind::Text),
            Field::new(2u32, "status", "status", false, Kind::Text),
            Field::new(
                3u32,
                "observedGeneration",
                "observedGeneration",
                false,
                Kind::Text,
            ),
            Field::new(
                4u32,
                "lastTransitionTime",
                "lastTransitionTime",
                false,
                Kind::Message(&JUMPSTARTER_V1_TIME),
            ),
            Field::new(5u32, "reason", "reason", false, Kind::Text),
            Field::new(6u32, "message", "message", false, Kind::Text),
        ],
    };
    pub(super) static JUMPSTARTER_V1_TIME: Message = Message {
        name: "jumpstarter.v1.Time",
        fields: &[
            Field::new(1u32, "seconds", "seconds", false, Kind::Text),
            Field::new(2u32, "nanos", "nanos", false, Kind::Text),
        ],
    };
}
use crate::transcode;
///HTTP rows of `jumpstarter.client.v1.ClientService`.
pub mod client_service_http {
    use super::{client_service_server::ClientService, tables, transcode};
    use std::sync::Arc;
    use transcode::{Binding, Body, Capture, Segment};
    /// Every row, in the order of the proto.
    pub static BINDINGS: [Binding; 8usize] = [
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/GetExporter",
            method: "GET",
            template: "/v1/{name=namespaces/*/exporters/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("exporters"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_GETEXPORTERREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_GETEXPORTERREQUEST,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/ListExporters",
            method: "GET",
            template: "/v1/{parent=namespaces/*}/exporters",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("exporters"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_LISTEXPORTERSREQUEST
                            .fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_LISTEXPORTERSREQUEST,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/GetLease",
            method: "GET",
            template: "/v1/{name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_GETLEASEREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_GETLEASEREQUEST,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/ListLeases",
            method: "GET",
            template: "/v1/{parent=namespaces/*}/leases",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_LISTLEASESREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_LISTLEASESREQUEST,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/CreateLease",
            method: "POST",
            template: "/v1/{parent=namespaces/*}/leases",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_CREATELEASEREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_CREATELEASEREQUEST,
            body: Body::Field(
                &tables::JUMPSTARTER_CLIENT_V1_CREATELEASEREQUEST.fields[2usize],
            ),
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/UpdateLease",
            method: "PATCH",
            template: "/v1/{lease.name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_UPDATELEASEREQUEST.fields[0usize],
                        &tables::JUMPSTARTER_CLIENT_V1_LEASE.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_UPDATELEASEREQUEST,
            body: Body::Field(
                &tables::JUMPSTARTER_CLIENT_V1_UPDATELEASEREQUEST.fields[0usize],
            ),
            response_body: None,
            mask: Some(&tables::JUMPSTARTER_CLIENT_V1_UPDATELEASEREQUEST.fields[1usize]),
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/DeleteLease",
            method: "DELETE",
            template: "/v1/{name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_DELETELEASEREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_DELETELEASEREQUEST,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            rpc: "jumpstarter.client.v1.ClientService/RotateToken",
            method: "POST",
            template: "/v1/{parent=namespaces/*}/rotate-token",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("rotate-token"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::JUMPSTARTER_CLIENT_V1_ROTATETOKENREQUEST.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::JUMPSTARTER_CLIENT_V1_ROTATETOKENREQUEST,
            body: Body::All,
            response_body: None,
            mask: None,
        },
    ];
    /// Every row with the method of `service` that answers it.
    pub fn routes<S: ClientService>(service: Arc<S>) -> Vec<transcode::Route> {
        vec![
            transcode::Route::unary(& BINDINGS[0usize], & service, | service, request |
            async move { service.get_exporter(request). await }),
            transcode::Route::unary(& BINDINGS[1usize], & service, | service, request |
            async move { service.list_exporters(request). await }),
            transcode::Route::unary(& BINDINGS[2usize], & service, | service, request |
            async move { service.get_lease(request). await }), transcode::Route::unary(&
            BINDINGS[3usize], & service, | service, request | async move { service
            .list_leases(request). await }), transcode::Route::unary(& BINDINGS[4usize],
            & service, | service, request | async move { service.create_lease(request).
            await }), transcode::Route::unary(& BINDINGS[5usize], & service, | service,
            request | async move { service.update_lease(request). await }),
            transcode::Route::unary(& BINDINGS[6usize], & service, | service, request |
            async move { service.delete_lease(request). await }),
            transcode::Route::unary(& BINDINGS[7usize], & service, | service, request |
            async move { service.rotate_token(request). await })
        ]
    }
}
