from django.urls import path

from apps.catalog.views import CatalogEntryView, ConversationModelsView, ModelsView, ModelView, ProvidersView

# Literal names first: a model's id may contain slashes.
urlpatterns = [
    path("models", ModelsView.as_view()),
    path("conv/models", ConversationModelsView.as_view()),
    path("models/providers", ProvidersView.as_view()),
    path("models/catalogs/<path:model_id>", CatalogEntryView.as_view()),
    path("models/<path:model_id>", ModelView.as_view()),
]
