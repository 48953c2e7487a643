//! BUILD TIME ONLY. The rules by which the implementations of a message are mended, and the
//! shapes in pbjson-build's output that they look for.

use std::collections::BTreeMap;
use std::error::Error;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, BinOp, Block, Expr, ImplItemFn, ItemImpl, Lit, Pat, parse_quote};

use super::Mended;

/// A field, and what the code around its value says that its descriptor does not.
pub struct Frame {
    field: FieldDescriptor,
    /// The Rust type, where the field holds an enum.
    enumeration: Option<syn::Path>,
    /// The Rust path of the member, where the field belongs to a oneof.
    member: Option<syn::Path>,
}

/// The fields of a message by their JSON names.
pub type Frames = BTreeMap<String, Frame>;

impl Frame {
    /// The kind of `proto::json` that reads and writes the field.
    fn kind(&self, json: &syn::Path) -> Mended<syn::Type> {
        let value = match self.field.kind() {
            Kind::Message(entry) if self.field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        let one: syn::Type = match value {
            Kind::Bool | Kind::String => parse_quote!(#json::Plain),
            Kind::Bytes => parse_quote!(#json::Bytes),
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Value" => parse_quote!(#json::Nullable),
                _ => parse_quote!(#json::Plain),
            },
            Kind::Enum(it) if it.full_name() == "google.protobuf.NullValue" => {
                parse_quote!(#json::Null)
            }
            Kind::Enum(_) => {
                let enumeration = self
                    .enumeration
                    .as_ref()
                    .ok_or("the enum's type is missing")?;
                parse_quote!(#json::Enum<#enumeration>)
            }
            _ => parse_quote!(#json::Number),
        };
        Ok(match (self.field.is_map(), self.field.is_list()) {
            (true, _) => parse_quote!(#json::Map<#one>),
            (_, true) => parse_quote!(#json::List<#one>),
            _ => one,
        })
    }
}

/// The full name of the message that an implementation writes; `None` for an enum's.
pub fn written_message(implementation: &ItemImpl) -> Option<String> {
    let mut facts = Facts::default();
    facts.visit_item_impl(implementation);
    facts.name
}

/// Rule one: a block whose last statement is `struct_ser.serialize_field("name", ..)?;` becomes
/// that one statement, and the value is written as its kind. Where a floating point number is left
/// out for its default, `self.field != 0.` becomes a comparison of bits: -0 is another number.
pub fn mend_writing(
    implementation: &mut ItemImpl,
    message: &MessageDescriptor,
    json: &syn::Path,
) -> Mended<Frames> {
    let frames = Frames::new();
    let mut writing = Writing {
        message,
        json,
        member: None,
        frames,
        failure: None,
    };
    writing.visit_item_impl_mut(implementation);
    match writing.failure {
        Some(reason) => Err(reason),
        None if writing.frames.len() == message.fields().len() => Ok(writing.frames),
        None => Err("not every field was found".into()),
    }
}

struct Writing<'a> {
    message: &'a MessageDescriptor,
    json: &'a syn::Path,
    member: Option<syn::Path>,
    frames: Frames,
    failure: Option<Box<dyn Error>>,
}

impl VisitMut for Writing<'_> {
    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        // `one_of::Name::Member(v) => {..}`
        if let Pat::TupleStruct(pattern) = &arm.pat {
            self.member = Some(pattern.path.clone());
        }
        visit_mut::visit_arm_mut(self, arm);
        self.member = None;
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match compared_with_zero(expression) {
            Some(field) => *expression = parse_quote!(#field.to_bits() != 0),
            None => visit_mut::visit_expr_mut(self, expression),
        }
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        if !block.stmts.last().is_some_and(is_serialize_field) {
            return visit_mut::visit_block_mut(self, block);
        }
        if let Err(reason) = self.mend(block) {
            self.failure.get_or_insert(reason);
        }
    }
}

impl Writing<'_> {
    fn mend(&mut self, block: &mut Block) -> Mended<()> {
        let mut facts = Facts::default();
        facts.visit_block(block);
        let name = facts.name.ok_or("a field without a name")?;
        let field = self.message.get_field_by_json_name(&name);
        let field = field.ok_or_else(|| format!("{name} is no field"))?;
        let (enumeration, member) = (facts.enumeration, self.member.clone());
        let frame = Frame {
            field,
            enumeration,
            member,
        };
        let (json, kind) = (self.json, frame.kind(self.json)?);
        let value: Expr = match facts.own_field {
            Some(field) => parse_quote!(&self.#field),
            // Around a field with presence there is `if let Some(v)`, or the arm of a oneof.
            None => parse_quote!(v),
        };
        *block = parse_quote!({
            struct_ser.serialize_field(#name, &#json::Written::<#kind, _>::new(#value))?;
        });
        self.frames.insert(name, frame);
        Ok(())
    }
}

fn is_serialize_field(statement: &syn::Stmt) -> bool {
    match statement {
        syn::Stmt::Expr(Expr::Try(attempt), _) => {
            matches!(&*attempt.expr, Expr::MethodCall(call) if call.method == "serialize_field")
        }
        _ => false,
    }
}

/// The left side of `self.field != 0.`
fn compared_with_zero(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::Binary(it) if matches!(it.op, BinOp::Ne(_)) => match &*it.right {
            Expr::Lit(zero) if matches!(zero.lit, Lit::Float(_)) => Some((*it.left).clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Rule two: a match arm that may report `duplicate_field("name")` reads the field as its kind,
/// and only once. What the arm assigns to tells where the value goes.
pub fn mend_reading(implementation: &mut ItemImpl, frames: Frames, json: &syn::Path) -> Mended<()> {
    let mut reading = Reading {
        json,
        unread: frames,
        count: 0,
        failure: None,
    };
    reading.visit_item_impl_mut(implementation);
    match reading.failure {
        Some(reason) => Err(reason),
        None if reading.unread.is_empty() => Ok(()),
        None => Err("not every field was found".into()),
    }
}

struct Reading<'a> {
    json: &'a syn::Path,
    unread: Frames,
    count: usize,
    failure: Option<Box<dyn Error>>,
}

impl VisitMut for Reading<'_> {
    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        visit_mut::visit_impl_item_fn_mut(self, function);
        if function.sig.ident == "visit_map" && self.count > 0 {
            let count = self.count;
            let seen = parse_quote!(let mut seen = [false; #count];);
            function.block.stmts.insert(0, seen);
        }
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        let mut facts = Facts::default();
        facts.visit_expr(&arm.body);
        if let Some(name) = facts.name
            && let Err(reason) = self.mend(&mut arm.body, &name, facts.assigned)
        {
            self.failure.get_or_insert(reason);
        }
    }
}

impl Reading<'_> {
    fn mend(&mut self, body: &mut Expr, name: &str, assigned: Option<Expr>) -> Mended<()> {
        let frame = self
            .unread
            .remove(name)
            .ok_or_else(|| format!("{name} is not written"))?;
        let variable = assigned.ok_or_else(|| format!("{name} is not assigned"))?;
        let (json, kind) = (self.json, frame.kind(self.json)?);
        let value: Expr = parse_quote!(map_.next_value_seed(#json::Field::<#kind, _>::new())?);
        let set: Expr = match frame.member {
            None => parse_quote!(#variable = #value),
            Some(member) => parse_quote! {
                #json::member::<_, V::Error>(&mut #variable, #value.map(#member), #name)?
            },
        };
        let index = self.count;
        *body = parse_quote!({
            #json::once::<V::Error>(&mut seen[#index], #name)?;
            #set;
        });
        self.count += 1;
        Ok(())
    }
}

/// What is to be known about a piece of generated code: the first of each thing that it holds.
#[derive(Default)]
struct Facts {
    /// The text given to `serialize_struct`, `serialize_field` or `duplicate_field`.
    name: Option<String>,
    /// `field` of `self.field`
    own_field: Option<syn::Member>,
    /// `Type` of `Type::try_from(..)`
    enumeration: Option<syn::Path>,
    /// `variable` of `variable = ..`
    assigned: Option<Expr>,
}

impl Facts {
    fn look_at_call(&mut self, function: &syn::Ident, first_argument: Option<&Expr>) {
        let naming = ["serialize_struct", "serialize_field", "duplicate_field"];
        if let Some(Expr::Lit(literal)) = first_argument
            && let Lit::Str(text) = &literal.lit
            && naming.iter().any(|name| function == name)
        {
            self.name.get_or_insert(text.value());
        }
    }
}

impl Visit<'_> for Facts {
    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        self.look_at_call(&call.method, call.args.first());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &syn::ExprCall) {
        if let Expr::Path(function) = &*call.func {
            let mut path = function.path.clone();
            if let Some(function) = path.segments.pop() {
                self.look_at_call(&function.ident, call.args.first());
                if function.ident == "try_from" {
                    path.segments.pop_punct();
                    self.enumeration.get_or_insert(path);
                }
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_field(&mut self, field: &syn::ExprField) {
        if matches!(&*field.base, Expr::Path(base) if base.path.is_ident("self")) {
            self.own_field.get_or_insert(field.member.clone());
        }
        visit::visit_expr_field(self, field);
    }

    fn visit_expr_assign(&mut self, assignment: &syn::ExprAssign) {
        self.assigned.get_or_insert((*assignment.left).clone());
        visit::visit_expr_assign(self, assignment);
    }
}
